"""A split as callers see it: by their own clients, or by their keys."""

import json
from dataclasses import replace
from typing import Any

from contracts.api.json_schema import matches
from contracts.tasks import Tier
from functions.router.http.model_schemas import SPLIT
from tests.fixtures.router_app import INTENTS, PREDICT, ROUTES, FakeTier, router

DIVIDED = replace(
    ROUTES, models={INTENTS.model: replace(INTENTS, split={Tier.CPU: 1, Tier.GPU: 1})}
)
KEYS = ("Bearer test-key", "Bearer another-key")


def test_a_client_has_one_tier_whatever_key_it_comes_with() -> None:
    tiers = {tier: FakeTier() for tier in Tier}
    call = router(tiers, routes=DIVIDED)

    def head(key: str, **options: Any) -> tuple[str, str]:
        reply = call("POST", PREDICT, json.dumps({"inputs": "hi", **options}), key=key)
        body = json.loads(reply["body"])
        return body["tier"], body["reason"]

    by_client = {(i, head(key, client=f"user-{i}")) for i in range(20) for key in KEYS}
    assert len(by_client) == 20
    assert {tier for _, (tier, _) in by_client} == set(Tier)
    assert {reason for _, (_, reason) in by_client} == {"split"}
    # Without a client the key is one.
    assert [head(key) for key in KEYS] == [head(key, client=None) for key in KEYS]
    assert {sent.client for fake in tiers.values() for _, sent in fake.requests} >= {
        *ROUTES.key_hashes.values()
    }
    assert {"client" in sent.to_wire() for fake in tiers.values() for _, sent in fake.requests} == {
        False
    }


def test_a_description_of_the_model_shows_the_weights() -> None:
    call = router({tier: FakeTier() for tier in Tier}, routes=DIVIDED)
    body = json.loads(call("GET", f"/v1/models/{INTENTS.model}")["body"])
    assert body["split"] == {"cpu": 1, "gpu": 1}
    assert matches(body["split"], SPLIT)
