"""The registry of deployed versions, written by the deployment itself: one row per model, tier and version.

Only `GET /v1/models` reads it. Requests are routed by routes.json in the router's image (`contracts/routes.py`).
"""

from typing import Any, Protocol

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
