"""The rows that a deployment with a GPU tier shares through one table of DynamoDB, whose name `contracts.names` has.

A row is what is known of one thing at one time. The observer writes the copies of each target, and whoever wakes a tier
writes when; the router reads both. A row of another kind has another beginning of its key.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

# The attributes of an item. DynamoDB deletes it at some time after `expires_at`.
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/howitworks-ttl.html
KEY, DOCUMENT, WRITTEN_AT, EXPIRES_AT = "key", "document", "written_at", "expires_at"
Item = Mapping[str, Mapping[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A row: what `document` says was so at `written_at`. Times are seconds of the Unix epoch."""

    key: str
    written_at: float
    expires_at: float
    document: Mapping[str, Any] = field(default_factory=dict)

    def to_item(self) -> dict[str, dict[str, str]]:
        """Return the row as clients of DynamoDB put it."""
        return {
            KEY: {"S": self.key},
            DOCUMENT: {"S": json.dumps(self.document)},
            WRITTEN_AT: number(self.written_at),
            # The expiry of items takes whole seconds.
            EXPIRES_AT: number(int(self.expires_at)),
        }

    @classmethod
    def from_item(cls, item: Item) -> Self:
        """Return the row of an item; raise KeyError or ValueError for one that is none."""
        document = json.loads(item[DOCUMENT]["S"]) if DOCUMENT in item else {}
        if not isinstance(document, dict):
            raise ValueError(f"{item[KEY]['S']} has no object")
        return cls(
            key=item[KEY]["S"],
            document=document,
            written_at=float(item[WRITTEN_AT]["N"]),
            expires_at=float(item[EXPIRES_AT]["N"]),
        )


def number(value: float) -> dict[str, str]:
    """Return a number as DynamoDB has it."""
    return {"N": repr(value)}


def copies_key(address: str) -> str:
    """Return the key of the copies of a target by its address."""
    return f"copies#{address}"


def wake_key(address: str) -> str:
    """Return the key of the last wake call of a target by its address."""
    return f"wake#{address}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyCounts:
    """The copies of an inference component as SageMaker's control plane has them, and the component's status."""

    desired: int
    current: int
    status: str

    def to_document(self) -> dict[str, Any]:
        return {"desired": self.desired, "current": self.current, "status": self.status}

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Self:
        """Return the counts of a row's document; raise KeyError or ValueError."""
        return cls(
            desired=int(document["desired"]),
            current=int(document["current"]),
            status=str(document["status"]),
        )
