"""During a canary two versions serve: a request that pins one of them is answered by that one."""

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any
from urllib.parse import unquote

import pytest

from contracts.api.json_schema import matches
from contracts.prediction import PredictRequest, TierAnswer
from contracts.routes import Target
from contracts.tasks import Tier
from functions.router.http.model_schemas import MODEL_TIER
from functions.router.targets.backends import LambdaBackend
from functions.router.targets.release_registry import (
    ParameterRegistry,
    own_address,
    with_released,
)
from tests.fixtures.fake_aws import GOOD, Service, client, serving
from tests.fixtures.router_app import INTENTS, PREDICT, FakeTier, Rows, problem, router, target

OLD, NEW = "01d000000000", "cpu0000000000"
CANARY = {"version": NEW, "own_address": "shop-intents-cpu:8", "percent": 10}
ROW: dict[str, Any] = {
    "model": "support-intent",
    "tier": "cpu",
    "version": OLD,
    "address": "shop-intents-cpu:live",
    "own_address": "shop-intents-cpu:7",
    "deployed_at": 1790000000,
}
TARGET = target(Tier.CPU, address="shop-intents-cpu:live", version=NEW)


def pinned(version: str | None, **options: Any) -> PredictRequest:
    return PredictRequest(inputs=("a",), version=version, **options)


@pytest.fixture
def service() -> Iterator[Service]:
    with serving(Service(body={**GOOD, "version": NEW})) as running:
        yield running


def asked(service: Service, rows: Rows, request: PredictRequest) -> list[str]:
    """Return the functions that are invoked for a request."""
    backend = LambdaBackend(partial(client, service.address), partial(own_address, rows))
    backend.predict(TARGET, request)
    return [unquote(path.split("/")[3]) for path, _, _ in service.seen]


@pytest.mark.parametrize(
    ("request_", "own"),
    [
        (pinned(None), []),
        (pinned(NEW), []),
        (pinned(OLD), ["shop-intents-cpu:7"]),
        # It may have run, and is not sent again.
        (pinned(OLD, idempotent=False), []),
        (pinned("another"), []),
    ],
    ids=["none", "the one that answers", "the other", "not again", "unknown"],
)
def test_a_pinned_version_that_did_not_answer_is_asked_by_itself(
    service: Service, request_: PredictRequest, own: list[str]
) -> None:
    rows = Rows([{**ROW, "canary": CANARY}])
    assert asked(service, rows, request_) == ["shop-intents-cpu:live", *own]


def test_the_candidate_is_asked_by_itself_as_well(service: Service) -> None:
    service.body = {**GOOD, "version": OLD}
    rows = Rows([{**ROW, "canary": CANARY}])
    assert asked(service, rows, pinned(NEW)) == ["shop-intents-cpu:live", "shop-intents-cpu:8"]


def test_without_the_registry_the_answer_of_the_alias_is_all_there_is(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR, "turnout.router"):
        assert len(asked(service, Rows(error=TimeoutError()), pinned(OLD))) == 1
    assert caplog.messages == ["the registry cannot be read"]


def test_a_version_that_serves_may_be_pinned_whatever_the_table_names() -> None:
    rows = Rows([{**ROW, "canary": CANARY}])
    assert with_released(rows, INTENTS, NEW) is INTENTS
    older = with_released(rows, INTENTS, OLD)
    assert older.targets[Tier.CPU] == replace(INTENTS.targets[Tier.CPU], version=OLD)
    assert older.targets[Tier.GPU] is INTENTS.targets[Tier.GPU]
    assert with_released(rows, INTENTS, "another") is INTENTS
    assert with_released(Rows(), INTENTS, OLD) is INTENTS


class Versioned(FakeTier):
    """A tier that answers as the version of the target that it is asked for."""

    def predict(self, target: Target, request: PredictRequest) -> TierAnswer:
        return replace(super().predict(target, request), version=target.version)


def test_the_router_answers_with_the_old_version_while_its_table_has_the_new_one() -> None:
    call = router({tier: Versioned() for tier in Tier}, Rows([{**ROW, "canary": CANARY}]))
    for version in (OLD, NEW):
        reply = call("POST", PREDICT, json.dumps({"inputs": "a", "version": version}))
        body = json.loads(reply["body"])
        assert (body["version"], body["tier"], body["reason"]) == (version, "cpu", "pinned")
    assert problem(call("POST", PREDICT, '{"inputs": "a", "version": "other"}'))[0] == 422


@pytest.mark.parametrize(
    ("rows", "serving"),
    [
        ([], []),
        ([ROW], [{"version": OLD, "percent": 100}]),
        (
            [{**ROW, "canary": CANARY}],
            [{"version": OLD, "percent": 90}, {"version": NEW, "percent": 10}],
        ),
    ],
    ids=["nothing", "one", "a canary"],
)
def test_a_description_shows_the_versions_that_requests_get(
    rows: list[dict[str, Any]], serving: list[dict[str, Any]]
) -> None:
    call = router({tier: FakeTier() for tier in Tier}, Rows(rows))
    cpu, gpu = json.loads(call("GET", "/v1/models/support-intent")["body"])["tiers"]
    assert (cpu["serving"], gpu["serving"]) == (serving, [])
    schema = MODEL_TIER["properties"]["serving"]
    assert all(matches(one, schema["items"]) for one in serving)


@dataclass(slots=True)
class Parameters:
    """A client of Systems Manager with these parameters; it keeps the names that it was asked for."""

    values: dict[str, dict[str, Any]]
    asked: list[str] = field(default_factory=list)

    def get_parameters(self, Names: list[str]) -> dict[str, Any]:
        self.asked += Names
        at = datetime.fromtimestamp(1790000000, UTC)
        return {
            "Parameters": [
                {"Name": name, "Value": json.dumps(self.values[name]), "LastModifiedDate": at}
                for name in Names
                if name in self.values
            ]
        }


@pytest.mark.parametrize(
    ("canary", "shown"),
    [
        (None, {}),
        ({**CANARY, "version": OLD}, {}),
        (CANARY, {"canary": CANARY}),
    ],
    ids=["no canary", "over", "under way"],
)
def test_a_candidate_is_one_as_long_as_another_version_is_released(
    canary: dict[str, Any] | None, shown: dict[str, Any]
) -> None:
    cpu = "/turnout/shop/support-intent/cpu"
    facts = {key: value for key, value in ROW.items() if key != "deployed_at"}
    values = {cpu: facts, **({f"{cpu}-canary": canary} if canary else {})}
    found = Parameters(values)
    registry = ParameterRegistry("/turnout/shop", lambda: found)
    assert registry.releases("support-intent") == [{**ROW, **shown}]
    assert len(found.asked) == 4


def test_a_candidate_of_a_first_deployment_serves_nobody_yet() -> None:
    found = Parameters({"/turnout/shop/support-intent/cpu-canary": CANARY})
    assert ParameterRegistry("/turnout/shop", lambda: found).releases("support-intent") == []
