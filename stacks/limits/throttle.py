"""The throttle of the API's stage: as many requests as the account's functions bear.

Beyond its concurrency Lambda refuses a function to the gateway, which answers a bare 500, while the stage answers 429.
A stage has a token bucket: in any `t` seconds it lets `burst + rate * t` requests through.
https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-throttling.html
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor
from pathlib import Path

from contracts.api.text_generation import MAX_NEW_TOKENS
from contracts.limits import ENVIRONMENTS_PER_REQUEST, MAX_TIER_TIMEOUT_S, STAGE_BURST, STAGE_RATE
from contracts.specs import Deployment
from contracts.tasks import WRITING_TASKS, Tier

# A cold start of the router, which then runs in an environment and waits for nothing yet (docs/performance.md; Lambda
# has less than a whole processor for it).
START_S = 0.8
# The router's own part of a request, with what the network takes.
ROUTER_S = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The limits of a stage: requests a second, and at once."""

    rate: float
    burst: int


def bearable(concurrency: int, longest_s: float) -> Limits:
    """Return the throttle under which as many requests as let through run at once, if one takes `longest_s` at most.

    Half of them may come at once. The rest is the rate: of warm functions each request holds an environment of the
    router and one of the model; after a pause, as many routers as requests start, and run no model yet.
    """
    at_once = max(1, concurrency // ENVIRONMENTS_PER_REQUEST)
    burst = ceil(at_once / 2)
    warm = max(1, at_once - burst) / (longest_s + ROUTER_S)
    cold = max(1, concurrency - burst) / START_S
    rate = min(warm, cold, STAGE_RATE)
    # Whole numbers are easier to read; a rate of 0 would let nothing through.
    return Limits(
        rate=floor(rate) if rate >= 1 else floor(rate * 1_000) / 1_000,
        burst=min(burst, STAGE_BURST),
    )


def longest_request(deployment: Deployment, out: Path) -> float:
    """Return the seconds of the longest request that was measured of the CPU models, by the evidence of their builds.

    Of generated text it is a request's default number of tokens; a model without evidence takes all of its time.
    """
    times = [
        _measured(out / model.name / f"evidence/{Tier.CPU}.json", model.cpu.timeout_s)
        for model in deployment.models
        if model.cpu
    ]
    return max(times, default=0.0)


def _measured(evidence: Path, timeout_s: float) -> float:
    if not evidence.exists():
        return timeout_s
    document = json.loads(evidence.read_text("utf-8"))
    each = MAX_NEW_TOKENS.default if document["unit"] == "new token" else 1
    found: Sequence[float] = [
        ms
        for candidate in document["candidates"]
        if candidate["chosen"]
        for ms in candidate["ms"].values()
    ]
    return min(max(found) * each / 1e3, timeout_s) if found else timeout_s


def stage_throttle(deployment: Deployment, out: Path) -> Limits:
    """Return the throttle of the stage: what models.toml sets of it, and else what the stated concurrency bears."""
    given = deployment.throttle
    borne = bearable(deployment.concurrency, longest_request(deployment, out))
    return Limits(
        rate=borne.rate if given.rate is None else given.rate,
        burst=borne.burst if given.burst is None else given.burst,
    )


def throttle_warning(deployment: Deployment, out: Path, concurrency: int) -> str:
    """Return what becomes of requests that the stage lets through above a concurrency; empty if none are."""
    given = stage_throttle(deployment, out)
    borne = bearable(concurrency, longest_request(deployment, out))
    if given.rate <= borne.rate and given.burst <= borne.burst:
        return ""
    return (
        f"the API lets {given.rate:g} requests a second and {given.burst} at once through, of which {concurrency} "
        f"functions at once bear {borne.rate:g} and {borne.burst}; beyond them the gateway answers a bare 500"
    )


def long_texts_warning(deployment: Deployment, out: Path) -> str:
    """Return how few texts of the longest time that a tier is given take all functions; empty if none is so long.

    A throttle that counted with minutes for each request would leave short texts a request in minutes.
    """
    times = [
        (float(spec.timeout_s), model.name, tier)
        for model in deployment.models
        if model.task in WRITING_TASKS
        for tier, spec in model.tiers.items()
        if spec.timeout_s > MAX_TIER_TIMEOUT_S
    ]
    if not times:
        return ""
    seconds, name, tier = max(times)
    given, borne = stage_throttle(deployment, out), bearable(deployment.concurrency, seconds)
    if given.rate <= borne.rate and given.burst <= borne.burst:
        return ""
    each = ENVIRONMENTS_PER_REQUEST if tier is Tier.CPU else 1
    count = max(1, deployment.concurrency // each)
    return (
        f"a text of {name} may take {seconds:g} s, and the throttle counts on short ones: {count} at once hold all "
        f"{deployment.concurrency} functions for as long, and every other request is a bare 500 of the gateway; raise "
        f"`concurrency`, lower `timeout_s`, or set throttle = {{ rate = {borne.rate:g}, burst = {borne.burst} }}"
    )
