"""Requests a second at which each limit of AWS is met, the lowest first, with what raises it."""

from collections.abc import Sequence
from dataclasses import dataclass

from contracts.limits import ROUTER_MEMORY_MB
from stacks.costs.requests import ROUTER_MS, billed_ms

# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html: environments at once in a region, on a new
# account and by default; invocations a second for each of them; environments that one function gains in 10 s.
NEW_CONCURRENCY, CONCURRENCY = 10, 1_000
INVOCATIONS_PER_ENVIRONMENT = 10
GAINED_IN_10_S = 1_000
# https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html: requests a second of all APIs in a region.
# The burst goes with the rate, and is not asked for by itself.
GATEWAY_PER_SECOND, GATEWAY_BURST = 10_000, 5_000
# Router and model.
INVOCATIONS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """A limit, the requests a second that meet it, and who raises it."""

    name: str
    per_second: float
    raised_by: str


def environments(per_second: float, model_ms: float, memory_mb: int) -> float:
    """Return the environments that are busy at once, router and model together, by Little's law."""
    model = billed_ms(model_ms, memory_mb)
    router = billed_ms(ROUTER_MS, ROUTER_MEMORY_MB) + model
    return per_second * (model + router) / 1e3


def limits(model_ms: float, memory_mb: int) -> Sequence[Limit]:
    """Return every limit of AWS on the way of a request, the first to be met first."""
    each = environments(1, model_ms, memory_mb)
    support = "a request to AWS: Service Quotas, Lambda, concurrent executions"
    found: list[Limit] = []
    for name, quota in (("a new account's", NEW_CONCURRENCY), ("the default of", CONCURRENCY)):
        found += [
            Limit(
                name=f"{name} {quota:,} environments: {quota * INVOCATIONS_PER_ENVIRONMENT:,} invocations a second",
                per_second=quota * INVOCATIONS_PER_ENVIRONMENT / INVOCATIONS,
                raised_by=support,
            ),
            Limit(
                name=f"{name} {quota:,} environments: all of them busy",
                per_second=quota / each,
                raised_by=support,
            ),
        ]
    found.append(
        Limit(
            name=f"the gateway's {GATEWAY_PER_SECOND:,} requests a second of an account and region",
            per_second=GATEWAY_PER_SECOND,
            raised_by="a request to AWS: Service Quotas, API Gateway, throttle rate",
        )
    )
    return sorted(found, key=lambda limit: limit.per_second)
