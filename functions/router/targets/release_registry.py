"""The registry of deployed versions, written by the deployment itself: one row per model, tier and version.

Requests are routed by routes.json in the router's image (`contracts/routes.py`). The registry is read by `GET
/v1/models`, and where an endpoint of the table is not there yet.
"""

import logging
from typing import Any, Protocol

from contracts.routes import Target

log = logging.getLogger("turnout.router")
Row = dict[str, Any]


class Registry(Protocol):
    """A source of rows; it raises whatever its store raises."""

    def releases(self, model: str) -> list[Row]: ...


class DynamoRegistry:
    """The deployment's DynamoDB table: partition key `model`, sort key `release`."""

    def __init__(self, make_table: Any) -> None:
        self.make_table = make_table
        self.table: Any = None

    def releases(self, model: str) -> list[Row]:
        """Return the model's rows, in one query."""
        # Only the list of models reads the registry; importing boto3 would lengthen every cold start.
        from boto3.dynamodb.conditions import Key

        if self.table is None:
            self.table = self.make_table()
        # One page holds 1 MB, which is thousands of rows of some hundred bytes.
        # https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_Query.html
        page = self.table.query(KeyConditionExpression=Key("model").eq(model))
        return [dict(item) for item in page["Items"]]


def released_address(registry: Registry, target: Target) -> str:
    """Return the address of the last release of a target's model and tier; empty if none can be read."""
    try:
        rows = [row for row in registry.releases(target.model) if row["tier"] == target.tier]
    except Exception:
        # Whatever the store raises: the caller's request has failed already, and its own error says more.
        log.exception("the registry cannot be read")
        return ""
    last = max(rows, key=lambda row: row["deployed_at"], default=None)
    return str(last["address"]) if last else ""
