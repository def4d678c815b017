"""The rows that an instance keeps: never waited for, read again after seconds, kept where DynamoDB does not answer."""

import logging
import threading
from collections.abc import Iterator
from functools import partial
from typing import Any

import boto3
import pytest
from botocore.config import Config
from moto import mock_aws

from contracts.states.rows import Row
from functions.router.targets.shared_rows import KEPT_S, QUIET_S, SharedRows, TableStore
from tests.fixtures.fake_aws import client
from tests.functions.router.answering.scripted import Step, aws, running
from tests.functions.router.targets.rows import Clock, Memory, Threads

KEYS = ("copies#a", "wake#a")


def row(key: str, at: float, **document: Any) -> Row:
    return Row(key=key, written_at=at, expires_at=at + 600, document=document)


def kept(store: Any, clock: Clock, threads: Threads) -> SharedRows:
    return SharedRows(store, KEYS, clock=clock, run=threads)


def test_a_request_gets_what_there_is_while_the_rows_are_read() -> None:
    clock, store, threads = Clock(), Memory(), Threads()
    store.rows["copies#a"] = row("copies#a", clock.now, desired=1)
    rows = kept(store, clock, threads)
    assert rows.get("copies#a") is None
    assert (rows.get("copies#a"), threads.run()) == (None, 1)
    assert rows.get("copies#a") == store.rows["copies#a"]
    assert rows.get("wake#a") is None
    assert store.reads == [KEYS]


def test_rows_are_read_again_after_some_seconds_and_by_one_thread() -> None:
    clock, store, threads = Clock(), Memory(), Threads()
    rows = kept(store, clock, threads)
    rows.refresh()
    rows.refresh()
    assert threads.run() == 1
    rows.refresh()
    clock.now += KEPT_S - 0.1
    rows.refresh()
    assert threads.run() == 0
    clock.now += 0.1
    rows.refresh()
    assert threads.run() == 1


def test_two_requests_at_once_begin_one_read() -> None:
    clock, threads = Clock(), Threads()
    rows = kept(Memory(), clock, threads)
    # The second one looks at the time before the first has begun.
    with rows.lock:
        second = threading.Thread(target=rows.refresh)
        second.start()
        rows.is_reading = True
    second.join()
    assert threads.run() == 0


def test_without_dynamodb_the_rows_stay_and_one_line_a_minute_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock, store, threads = Clock(), Memory(), Threads()
    store.rows["copies#a"] = row("copies#a", clock.now)
    rows = kept(store, clock, threads)
    rows.refresh()
    threads.run()
    store.error = ConnectionError("no route")
    with caplog.at_level(logging.WARNING, "turnout.router"):
        for _ in range(int(3 * QUIET_S / KEPT_S)):
            clock.now += KEPT_S
            assert rows.get("copies#a") == store.rows["copies#a"]
            threads.run()
            # Each instance wakes by itself then.
            assert rows.take("wake#a", 60)
    assert len(store.reads) == 1 + int(3 * QUIET_S / KEPT_S)
    assert caplog.messages == ["the shared states cannot be read or written: no route"] * 3


def test_of_two_rows_the_later_one_counts_whichever_was_read_last() -> None:
    clock, store, threads = Clock(), Memory(), Threads()
    store.rows["wake#a"] = row("wake#a", clock.now - 100)
    rows = kept(store, clock, threads)
    rows.refresh()
    # The read ends after the row was taken, and has the row before it.
    begun = dict(store.rows)
    assert rows.take("wake#a", 60)
    taken = store.rows["wake#a"]
    store.rows = begun
    threads.run()
    assert rows.get("wake#a") == taken


@pytest.fixture
def table() -> Iterator[Any]:
    with mock_aws():
        made = boto3.client("dynamodb", "us-east-1")
        made.create_table(
            TableName="shop-states",
            KeySchema=[{"AttributeName": "key", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "key", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        yield made


@pytest.mark.slow
def test_rows_of_any_number_are_read_from_the_table(table: Any) -> None:
    written = [row(f"copies#{number}", 1.0, desired=number) for number in range(250)]
    for one in written:
        table.put_item(TableName="shop-states", Item=one.to_item())
    store = TableStore("shop-states", lambda: table)
    keys = [one.key for one in written]
    assert (
        sorted(store.read([*keys, "copies#none"]), key=lambda one: keys.index(one.key)) == written
    )
    assert store.read([]) == []


def test_one_instance_of_all_takes_a_row(table: Any) -> None:
    clock = Clock()
    made: list[Any] = []

    def make() -> Any:
        made.append(table)
        return table

    instances = [
        SharedRows(TableStore("shop-states", make), KEYS, clock=clock, run=Threads())
        for _ in range(3)
    ]
    assert [one.take("wake#a", 60) for one in instances] == [True, False, False]
    # The others know now when that was.
    times = {found.written_at for one in instances if (found := one.rows.get("wake#a"))}
    assert times == {clock.now}
    clock.now += 60
    assert [one.take("wake#a", 60) for one in instances] == [False, False, False]
    clock.now += 0.1
    assert [one.take("wake#a", 60) for one in instances] == [True, False, False]
    assert len(made) == 3


FAULTS = {
    "throttled": aws(400, "ThrottlingException", "rate exceeded"),
    "down": aws(500, "InternalServerError", "internal"),
    "closed": Step(closes=True),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_a_dynamodb_that_fails_is_gone_on_without(
    fault: Step, caplog: pytest.LogCaptureFixture
) -> None:
    config = Config(connect_timeout=1, read_timeout=5, retries={"total_max_attempts": 1})
    with running(fault) as service:
        made = client(service.address, "dynamodb", config)
        threads = Threads()
        rows = kept(TableStore("shop-states", lambda: made), Clock(), threads)
        with caplog.at_level(logging.WARNING, "turnout.router"):
            assert rows.get("copies#a") is None
            threads.run()
            assert rows.take("wake#a", 60)
        made.close()
    assert len(service.seen) == 2
    assert len(caplog.messages) == 1


def test_rows_are_read_in_a_thread_of_their_own() -> None:
    read = threading.Event()

    class Store(Memory):
        def read(self, keys: Any) -> list[Row]:
            assert threading.current_thread().daemon
            read.set()
            return super().read(keys)

    rows = SharedRows(Store(), KEYS)
    rows.refresh()
    assert read.wait(60)


def test_a_client_is_made_when_it_is_first_needed_and_once() -> None:
    made: list[int] = []
    store = TableStore("shop-states", partial(made.append, 1))
    assert made == []
    store.client = object()
    assert store._made() is store.client
    assert made == []
