"""The shared rows of a deployment that the sampling function reads and writes: copies of GPU tiers, and watches."""

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from contracts.cascade.drift import Watch, drift_key, watched
from contracts.cascade.sampling import Calibrated
from contracts.states.rows import DOCUMENT, KEY, CopyCounts, Row, copies_key

# The observer writes the copies each minute; a tier of which it has written nothing for so long may sleep by now.
FRESH_S = 180
# A row ends long after the artefacts that it is about: one that is withdrawn stays so.
LASTS_S = 10 * 365 * 86_400
# With so many tries, samples that meet are lost only where dozens of them do.
TRIES = 8
PAUSE_S = 0.05
OVERTAKEN = "ConditionalCheckFailedException"


class Asleep(Exception):
    """The GPU tier is not known to have a copy, and a sample must not wake it."""


class Overtaken(Exception):
    """Other samples have written the row of a watch each time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """The rows in a table of DynamoDB, through its client."""

    client: Any
    table: str
    clock: Callable[[], float] = time.time
    pause: Callable[[float], object] = time.sleep

    def check_ready(self, address: str) -> None:
        """Raise Asleep unless the last row of a GPU tier's copies says that one is in service."""
        row = self._read(copies_key(address))
        if row is None or self.clock() - row.written_at > FRESH_S:
            raise Asleep
        if CopyCounts.from_document(row.document).current < 1:
            raise Asleep

    def watch(
        self, model: str, calibrated: Calibrated, disagree: Sequence[bool]
    ) -> Mapping[str, Any]:
        """Add inputs to the watch of a model, and return its document; raise Overtaken."""
        key, baseline = drift_key(model, calibrated.digest), calibrated.baseline
        for attempt in range(TRIES):
            before = self._read(key)
            watch = Watch.from_document(before.document) if before else Watch()
            document = watched(watch, baseline, disagree).to_document(baseline)
            if self._replace(before, key, document):
                return document
            self.pause(random.uniform(0, PAUSE_S * 2**attempt))
        raise Overtaken

    def _read(self, key: str) -> Row | None:
        found = self.client.get_item(
            TableName=self.table, Key={KEY: {"S": key}}, ConsistentRead=True
        )
        return Row.from_item(found["Item"]) if "Item" in found else None

    def _replace(self, before: Row | None, key: str, document: Mapping[str, Any]) -> bool:
        """Write a row unless it is another one by now; return whether it was written."""
        now = self.clock()
        row = Row(key=key, written_at=now, expires_at=now + LASTS_S, document=document)
        unchanged: dict[str, Any] = {
            "ConditionExpression": "attribute_not_exists(#document)",
            "ExpressionAttributeNames": {"#document": DOCUMENT},
        }
        if before:
            unchanged["ConditionExpression"] = "#document = :before"
            unchanged["ExpressionAttributeValues"] = {":before": before.to_item()[DOCUMENT]}
        try:
            self.client.put_item(TableName=self.table, Item=row.to_item(), **unchanged)
        except ClientError as error:
            if error.response["Error"]["Code"] == OVERTAKEN:
                return False
            raise
        return True
