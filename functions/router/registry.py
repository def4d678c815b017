"""What is deployed, as the deployment itself wrote it down: one row per model, tier and version."""

from typing import Any, Protocol

Row = dict[str, Any]


class Registry(Protocol):
    """Where rows are read; raises whatever its store raises."""

    def releases(self, model: str) -> list[Row]: ...


class DynamoRegistry:
    """The deployment's table; partition key `model`, sort key `release`."""

    def __init__(self, make_table: Any) -> None:
        self.make_table = make_table
        self.table: Any = None

    def releases(self, model: str) -> list[Row]:
        """The model's rows, one read."""
        from boto3.dynamodb.conditions import Key

        if self.table is None:
            self.table = self.make_table()
        found = self.table.query(KeyConditionExpression=Key("model").eq(model))
        return [dict(item) for item in found["Items"]]
