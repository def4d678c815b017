"""The observer, as EventBridge calls it, at servers that answer for SageMaker, Systems Manager and DynamoDB."""

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from contracts.states.rows import CopyCounts, copies_key
from functions.observer import observer
from tests.fixtures.paths import ROOT
from tests.functions.observer.control_plane import ControlPlane, serving

NEW, OLD = "shop-a-gpu-g6-xl", "shop-a-gpu-g5-xl"
RELEASE = "/turnout/shop/a/gpu"
A = observer.Observed(address=NEW, release=RELEASE)
B = observer.Observed(address="shop-b-gpu-g6-xl", release="/turnout/shop/b/gpu")


@pytest.fixture
def plane(monkeypatch: pytest.MonkeyPatch) -> Iterator[ControlPlane]:
    with serving() as plane:
        for name, value in {
            "AWS_ENDPOINT_URL": plane.address,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "none",
            "AWS_SECRET_ACCESS_KEY": "none",
        }.items():
            monkeypatch.setenv(name, value)
        observer.client.cache_clear()
        yield plane
        for service in ("sagemaker", "ssm", "dynamodb"):
            observer.client(service).close()
        observer.client.cache_clear()


def counts(desired: int, current: int, status: str = "InService") -> CopyCounts:
    return CopyCounts(desired=desired, current=current, status=status)


def test_a_row_has_the_copies_a_time_and_an_expiry(plane: ControlPlane) -> None:
    plane.copies[NEW] = counts(2, 1, "Updating")
    assert observer.observe("shop-states", [A]) == {"written": 1, "missing": 0, "failed": 0}
    (row,) = plane.rows("shop-states")
    assert row.key == copies_key(NEW)
    assert CopyCounts.from_document(row.document) == counts(2, 1, "Updating")
    assert row.expires_at == int(row.written_at + observer.EXPIRES_S)


def test_a_component_that_was_just_made_has_no_copies_yet(plane: ControlPlane) -> None:
    plane.copies[NEW] = counts(0, 0, "Creating")
    plane.without_runtime.add(NEW)
    assert observer.copies_of(A) == counts(0, 0, "Creating")


@pytest.mark.parametrize(
    ("own", "other", "counted"),
    [
        (counts(1, 1), counts(1, 1), "own"),
        (counts(1, 0, "Creating"), counts(1, 1), "other"),
        (None, counts(1, 1), "other"),
        (None, counts(0, 0), "other"),
        (counts(0, 0), counts(0, 0), "own"),
        (counts(0, 0), None, "own"),
        (None, None, "none"),
    ],
)
def test_while_an_endpoint_is_replaced_that_which_serves_is_counted(
    plane: ControlPlane, own: CopyCounts | None, other: CopyCounts | None, counted: str
) -> None:
    plane.copies = {name: copies for name, copies in ((NEW, own), (OLD, other)) if copies}
    plane.releases[RELEASE] = {"address": OLD}
    assert observer.copies_of(A) == {"own": own, "other": other, "none": None}[counted]


def test_the_release_of_the_address_itself_is_not_asked_about_twice(plane: ControlPlane) -> None:
    plane.copies[NEW] = counts(0, 0)
    plane.releases[RELEASE] = {"address": NEW}
    assert observer.copies_of(A) == counts(0, 0)
    assert plane.asked.count("DescribeInferenceComponent") == 1


def test_a_tier_that_is_not_there_has_no_row(plane: ControlPlane) -> None:
    assert observer.observe("shop-states", [A]) == {"written": 0, "missing": 1, "failed": 0}
    assert plane.rows("shop-states") == []


@pytest.mark.parametrize(
    "code", ["ThrottlingException", "AccessDeniedException", "ValidationException"]
)
def test_a_tier_that_cannot_be_read_does_not_stop_the_others(
    plane: ControlPlane, code: str, caplog: pytest.LogCaptureFixture
) -> None:
    plane.copies[B.address] = counts(1, 1)
    plane.refused[NEW] = code
    with caplog.at_level(logging.WARNING, "turnout.observer"):
        assert observer.observe("shop-states", [A, B]) == {"written": 1, "missing": 0, "failed": 1}
    assert [row.key for row in plane.rows("shop-states")] == [copies_key(B.address)]
    (line,) = caplog.messages
    assert line.startswith(f"{NEW}: ")
    assert code in line


def test_a_table_that_takes_no_rows_is_said_for_each(
    plane: ControlPlane, caplog: pytest.LogCaptureFixture
) -> None:
    plane.copies = {NEW: counts(1, 1), B.address: counts(1, 1)}
    plane.refused["shop-states"] = "ThrottlingException"
    with caplog.at_level(logging.WARNING, "turnout.observer"):
        assert observer.observe("shop-states", [A, B])["failed"] == 2
    assert len(caplog.messages) == 2


def test_the_handler_reads_the_file_of_the_archive() -> None:
    # A checkout has none.
    with pytest.raises(FileNotFoundError, match="targets.json"):
        observer.handler({}, None)


def test_the_handler_observes_the_targets_of_its_own_file(
    plane: ControlPlane, tmp_path: Any
) -> None:
    plane.copies[NEW] = counts(1, 1)
    target = {"address": NEW, "release": RELEASE}
    observed = tmp_path / "targets.json"
    observed.write_text(json.dumps({"table": "shop-states", "targets": [target]}), "utf-8")
    assert observer.main(observed) == {"written": 1, "missing": 0, "failed": 0}
    # It lies beside the packages.
    assert observer.TARGETS == ROOT / "targets.json"
