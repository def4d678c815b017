"""An answer of weights that nobody has seen answer says so, and so does the list of models."""

import json
from dataclasses import replace

import pytest

from contracts.tasks import Tier
from functions.router.http.openapi import answer
from tests.fixtures.router_app import INTENTS, PREDICT, ROUTES, FakeTier, router, target


@pytest.mark.parametrize("proved", [True, False])
def test_an_answer_and_the_list_say_what_is_not_proved(proved: bool) -> None:
    targets = {Tier.CPU: target(Tier.CPU), Tier.GPU: target(Tier.GPU, proved=proved)}
    routes = replace(ROUTES, models={INTENTS.model: replace(INTENTS, targets=targets)})
    call = router({tier: FakeTier() for tier in Tier}, routes=routes)
    said = {}
    for tier in Tier:
        body = json.loads(
            call("POST", PREDICT, json.dumps({"inputs": ["a"], "tier": tier}))["body"]
        )
        assert set(body) <= set(answer()["properties"])
        said[tier] = body.get("proved")
    # Of proved ones, which most are, an answer says nothing.
    assert said == {Tier.CPU: None, Tier.GPU: None if proved else False}
    listed = json.loads(call("GET", "/v1/models/support-intent")["body"])["tiers"]
    assert [tier["proved"] for tier in listed] == [True, proved]
