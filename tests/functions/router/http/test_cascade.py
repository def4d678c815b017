"""A caller sees which inputs were escalated, and what is promised of the rest."""

import json
from dataclasses import replace
from typing import Any

from contracts.api.json_schema import matches
from contracts.prediction import PredictRequest, TierAnswer
from contracts.routes import Cascade, Routes, Target
from contracts.tasks import Tier
from functions.router.http.model_schemas import DRIFT, MODEL
from functions.router.http.openapi import answer
from tests.fixtures.router_app import INTENTS, KEY, PREDICT, ROUTES, FakeTier, router

CASCADE = Cascade(
    threshold=0.8,
    parameters={},
    rows=500,
    kept=0.7,
    lost=0.002,
    bound=0.01,
    assurance=0.95,
    doubts=("3 of its rows are among the rows of the gate",),
)


class Scores(FakeTier):
    """A tier whose score of a text is the number that the text is."""

    def predict(self, target: Target, request: PredictRequest) -> TierAnswer:
        given = super().predict(target, request)
        outputs: list[dict[str, Any]] = [
            {**output, "score": float(str(text)), "label": target.tier}
            for output, text in zip(given.outputs, request.inputs, strict=True)
        ]
        return replace(given, outputs=tuple(outputs))


def routes(cascade: Cascade = CASCADE) -> Routes:
    return replace(ROUTES, models={"support-intent": replace(INTENTS, cascade=cascade)})


def test_the_head_names_what_was_escalated_and_each_output_its_tier() -> None:
    call = router({tier: Scores() for tier in Tier}, routes=routes())
    reply = call("POST", PREDICT, json.dumps({"inputs": ["0.9", "0.3", "0.2"]}))
    body = json.loads(reply["body"])
    assert (body["tier"], body["reason"], "degraded" in body) == ("cpu", "escalated", False)
    assert body["escalated"] == {
        "inputs": [1, 2],
        "tier": "gpu",
        "version": "f00dfeed0000",
        "elapsed_ms": 1.5,
    }
    assert [output["tier"] for output in body["outputs"]] == ["cpu", "gpu", "gpu"]
    assert [output["label"] for output in body["outputs"]] == ["cpu", "gpu", "gpu"]
    schema = answer()
    properties = {name: schema["properties"][name] for name in body if name != "outputs"}
    assert {name for name, one in properties.items() if not matches(body[name], one)} == set()
    assert set(schema["required"]) <= set(body) <= set(schema["properties"])


def test_a_model_shows_its_threshold_and_no_bound_that_is_in_doubt() -> None:
    call = router({tier: FakeTier() for tier in Tier}, routes=routes())
    body = json.loads(call("GET", "/v1/models/support-intent")["body"])
    assert body["cascade"] == {
        "threshold": 0.8,
        "parameters": {},
        "test_rows": 500,
        "kept": 0.7,
        "lost": 0.002,
        "bound": None,
        "assurance": 0.95,
        "doubts": ["3 of its rows are among the rows of the gate"],
        "off": None,
        "drift": None,
    }
    assert set(body["cascade"]) == set(MODEL["properties"]["cascade"]["anyOf"][0]["properties"])


def test_a_threshold_that_was_withdrawn_is_shown_with_what_was_seen() -> None:
    watch = {"samples": 900, "disagreed": 60, "later": 0.1, "evidence": 21.5, "withdrawn": True}
    call = router(
        {tier: FakeTier() for tier in Tier},
        routes=routes(replace(CASCADE, doubts=())),
        drift=lambda route: watch,
    )
    shown = json.loads(call("GET", "/v1/models/support-intent")["body"])["cascade"]
    assert shown["bound"] is None
    assert shown["drift"] == {name: watch[name] for name in watch if name != "later"}
    assert set(shown["drift"]) == set(DRIFT["properties"])
    body = json.loads(call("POST", PREDICT, json.dumps({"inputs": ["0.1"]}))["body"])
    assert (body["tier"], body["reason"], "degraded" in body) == ("gpu", "withdrawn", False)


def test_a_cascade_that_is_off_says_why() -> None:
    call = router(
        {tier: Scores() for tier in Tier}, routes=routes(replace(CASCADE, off="other artefacts"))
    )
    shown = json.loads(call("GET", "/v1/models/support-intent", key=f"Bearer {KEY}")["body"])
    assert shown["cascade"]["off"] == "other artefacts"
    body = json.loads(call("POST", PREDICT, json.dumps({"inputs": ["0.1"]}))["body"])
    assert (body["reason"], "escalated" in body) == ("fits_cpu", False)


def test_a_route_table_is_read_with_its_cascade_as_it_was_written() -> None:
    assert Routes.from_json(routes().to_json()) == routes()
