"""The rows that instances share, as one of them has them: read by a thread, kept for seconds, and never waited for.

Where DynamoDB does not answer, the rows that there are stay, and one line a minute says so.
"""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from time import time
from typing import Any, Protocol

from contracts.states.rows import EXPIRES_AT, KEY, WRITTEN_AT, Row, number

log = logging.getLogger("turnout.router")
# Rows are read again after as long, if there is a request.
KEPT_S = 5.0
# One line as often says that rows cannot be read or written.
QUIET_S = 60.0
# https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html
KEYS_A_CALL = 100
Run = Callable[[Callable[[], object]], None]


class Store(Protocol):
    """A store of rows; it raises whatever it raises."""

    def read(self, keys: Sequence[str]) -> list[Row]: ...

    def take(self, row: Row, before: float) -> Row | None: ...


class TableStore:
    """A table of DynamoDB, whose client is made when it is first needed."""

    def __init__(self, table: str, make_client: Callable[[], Any]) -> None:
        self.table, self.make_client = table, make_client
        self.client: Any = None
        self.lock = threading.Lock()

    def read(self, keys: Sequence[str]) -> list[Row]:
        """Return the rows that there are of these keys; those that are throttled are left out."""
        items = []
        for start in range(0, len(keys), KEYS_A_CALL):
            asked = [{KEY: {"S": key}} for key in keys[start : start + KEYS_A_CALL]]
            answer = self._made().batch_get_item(RequestItems={self.table: {"Keys": asked}})
            items += answer["Responses"].get(self.table, [])
        return [Row.from_item(item) for item in items]

    def take(self, row: Row, before: float) -> Row | None:
        """Write a row without a document, unless there is one of that time or later; return that one."""
        client = self._made()
        try:
            client.update_item(
                TableName=self.table,
                Key={KEY: {"S": row.key}},
                UpdateExpression=f"SET {WRITTEN_AT} = :now, {EXPIRES_AT} = :expires",
                ConditionExpression=f"attribute_not_exists({WRITTEN_AT}) OR {WRITTEN_AT} < :before",
                ExpressionAttributeValues={
                    ":now": number(row.written_at),
                    ":expires": number(int(row.expires_at)),
                    ":before": number(before),
                },
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except client.exceptions.ConditionalCheckFailedException as error:
            return Row.from_item(error.response["Item"])
        return None

    def _made(self) -> Any:
        # Two threads may need it first: to make one takes longer than to wait for it.
        with self.lock:
            if self.client is None:
                self.client = self.make_client()
            return self.client


def in_thread(act: Callable[[], object]) -> None:
    threading.Thread(target=act, daemon=True, name="shared rows").start()


class SharedRows:
    """The rows of some keys. `clock` is of seconds of the Unix epoch, and `run` runs what nobody waits for."""

    def __init__(
        self,
        store: Store,
        keys: Sequence[str],
        *,
        clock: Callable[[], float] = time,
        run: Run = in_thread,
    ) -> None:
        self.store, self.keys, self.clock, self.run = store, tuple(keys), clock, run
        self.rows: Mapping[str, Row] = {}
        self.lock = threading.Lock()
        self.is_reading, self.read_again, self.silent_until = False, 0.0, 0.0
        # That there was an answer, or an error, since the instance has started.
        self.answered = threading.Event()

    def get(self, key: str) -> Row | None:
        """Return the row of a key as it was read last, at once; rows that are old are then read again."""
        self.refresh()
        return self.rows.get(key)

    def refresh(self) -> None:
        """Begin to read the rows, unless they were read in the last seconds or are being read."""
        if self.clock() < self.read_again:
            return
        with self.lock:
            if self.is_reading:
                return
            self.is_reading = True
        self.run(self._read)

    def take(self, key: str, for_s: float) -> bool:
        """Return True for one caller of all instances within `for_s` seconds; for each where DynamoDB does not answer.

        It waits for DynamoDB.
        """
        now = self.clock()
        row = Row(key=key, written_at=now, expires_at=now + 2 * for_s)
        try:
            other = self.store.take(row, now - for_s)
        except Exception as error:
            self._complain(error)
            return True
        self._keep([other or row])
        return other is None

    def _read(self) -> None:
        try:
            self._keep(self.store.read(self.keys))
        # Whatever the store raises: the requests go on with what is known.
        except Exception as error:
            self._complain(error)
        finally:
            self.read_again = self.clock() + KEPT_S
            self.is_reading = False
            self.answered.set()

    def _keep(self, rows: Sequence[Row]) -> None:
        with self.lock:
            # Another mapping, since requests read this one without the lock.
            known = dict(self.rows)
            for row in rows:
                # A read may not have what was written shortly before it.
                if row.key not in known or known[row.key].written_at < row.written_at:
                    known[row.key] = row
            self.rows = known

    def _complain(self, error: Exception) -> None:
        now = self.clock()
        with self.lock:
            if now < self.silent_until:
                return
            self.silent_until = now + QUIET_S
        log.warning("the shared states cannot be read or written: %s", error)
