"""An endpoint on another instance type is another one: until it stands, the one before it is asked."""

import logging
import threading
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from contracts.tasks import Tier
from functions.router.targets.backends import SageMakerBackend
from functions.router.targets.failures import TargetFailed
from functions.router.targets.release_registry import Addresses
from tests.fixtures.fake_aws import ANSWER, GOOD, REQUEST, Service, client, serving
from tests.fixtures.router_app import Rows, target

OLD, NEW = "shop-intents-gpu-g6-xl", "shop-intents-gpu-g5-xl"
TARGET = target(Tier.GPU, address=NEW)


@pytest.fixture
def service() -> Iterator[Service]:
    with serving(Service(body=GOOD, absent={NEW})) as running:
        yield running


def row(address: str, tier: str = "gpu", at: int = 1) -> dict[str, Any]:
    return {"model": "support-intent", "tier": tier, "address": address, "deployed_at": at}


def backend(service: Service, rows: Rows) -> SageMakerBackend:
    return SageMakerBackend(partial(client, service.address), Addresses(rows, patience_s=20).of)


def asked(service: Service) -> list[str]:
    """Return the endpoints that were asked since the last call."""
    names = [path.split("/")[2] for path, _, _ in service.seen]
    service.seen.clear()
    return names


def test_requests_follow_a_deployment_from_one_endpoint_to_the_next(service: Service) -> None:
    rows = Rows([row(OLD)])
    gpu = backend(service, rows)
    assert gpu.predict(TARGET, REQUEST) == ANSWER
    assert asked(service) == [NEW, OLD]
    # The one that answered is asked first from then on, and the registry no more.
    rows.error = AssertionError("the registry was read")
    assert gpu.predict(TARGET, REQUEST) == ANSWER
    assert asked(service) == [OLD]
    service.absent = {OLD}
    assert gpu.predict(TARGET, REQUEST) == ANSWER
    assert asked(service) == [OLD, NEW]
    assert gpu.predict(TARGET, REQUEST) == ANSWER
    assert asked(service) == [NEW]


@pytest.mark.parametrize(
    "rows",
    [[], [row("shop-intents-cpu:live", tier="cpu")]],
    ids=["nothing released", "another tier"],
)
def test_without_another_endpoint_the_tier_is_not_deployed_yet(
    service: Service, rows: list[dict[str, Any]]
) -> None:
    with pytest.raises(TargetFailed, match="not deployed yet"):
        backend(service, Rows(rows)).predict(TARGET, REQUEST)
    assert asked(service) == [NEW]


class JustReleased(Rows):
    """A registry in which the endpoint is in service by the time that it is read."""

    service: Service

    def releases(self, model: str) -> list[dict[str, Any]]:
        self.service.absent = set()
        return super().releases(model)


def test_an_endpoint_that_comes_into_service_meanwhile_is_asked_again(service: Service) -> None:
    rows = JustReleased([row(NEW)])
    rows.service = service
    gpu = backend(service, rows)
    assert gpu.predict(TARGET, REQUEST) == ANSWER
    assert asked(service) == [NEW, NEW]
    assert gpu.predict(TARGET, REQUEST) == ANSWER
    assert asked(service) == [NEW]


def test_an_endpoint_that_is_released_and_gone_is_asked_no_third_time(service: Service) -> None:
    with pytest.raises(TargetFailed, match="not deployed yet"):
        backend(service, Rows([row(NEW)])).predict(TARGET, REQUEST)
    assert asked(service) == [NEW, NEW]


def test_an_endpoint_without_a_copy_of_the_model_is_not_waited_for(service: Service) -> None:
    service.absent = set()
    service.status, service.headers = 400, {"x-amzn-errortype": "ValidationError"}
    service.body = {"message": "Inference Component has no capacity to process this request."}
    with pytest.raises(TargetFailed, match="waking up"):
        backend(service, Rows([row(OLD)])).predict(TARGET, REQUEST)
    assert asked(service) == [NEW, OLD]


def test_a_tier_that_is_throttled_reads_no_registry(service: Service) -> None:
    service.absent = set()
    service.status, service.headers = 429, {"x-amzn-errortype": "ThrottlingException"}
    rows = Rows(error=AssertionError("the registry was read"))
    with pytest.raises(TargetFailed, match="busy"):
        backend(service, rows).predict(TARGET, REQUEST)
    assert asked(service) == [NEW]


def test_a_registry_that_cannot_be_read_leaves_the_tiers_own_error(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        caplog.at_level(logging.ERROR, "turnout.router"),
        pytest.raises(TargetFailed, match="not deployed yet"),
    ):
        backend(service, Rows(error=OSError("no table"))).predict(TARGET, REQUEST)
    assert caplog.messages == ["the registry cannot be read"]


class Hangs(Rows):
    """A registry that answers once it is told to, and counts how often it is asked."""

    answers: threading.Event
    asked: int = 0

    def releases(self, model: str) -> list[dict[str, Any]]:
        self.asked += 1
        assert self.answers.wait(60)
        return super().releases(model)


def test_a_registry_that_hangs_is_waited_for_once() -> None:
    rows = Hangs([row(OLD)])
    rows.answers = threading.Event()
    addresses = Addresses(rows, patience_s=0.05)
    assert [addresses.of(TARGET) for _ in range(3)] == ["", "", ""]
    assert rows.asked == 1
    rows.answers.set()
    (reading,) = addresses.reading.values()
    assert reading[0].result(60) == OLD
    # It answers again, and is asked anew.
    rows.rows = [row(NEW)]
    assert Addresses(rows, patience_s=20).of(TARGET) == NEW


def test_requests_of_the_same_moment_wait_for_one_reading() -> None:
    rows = Hangs([row(OLD)])
    rows.answers = threading.Event()
    addresses = Addresses(rows, patience_s=60)
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.append(addresses.of(TARGET))) for _ in "ab"]
    for thread in threads:
        thread.start()
    while not addresses.reading:
        time.sleep(0.001)
    rows.answers.set()
    for thread in threads:
        thread.join()
    assert found == [OLD, OLD]
