"""The arithmetic of `docs/scale.md`: a day of 10^9 requests, from the same constants as `turnout plan`.

`python -m benchmarks.scale.arithmetic` rewrites what stands between the two marks of the page.
"""

import json
import re
from collections.abc import Iterator
from math import ceil

from benchmarks.record import RESULTS, ROOT
from benchmarks.scale.limits import (
    CONCURRENCY,
    GAINED_IN_10_S,
    GATEWAY_BURST,
    GATEWAY_PER_SECOND,
    INVOCATIONS,
    INVOCATIONS_PER_ENVIRONMENT,
    environments,
    limits,
)
from contracts.limits import LAMBDA_MB_PER_VCPU
from contracts.tasks import Task
from stacks.costs.requests import answer_bytes, billed_ms, function_run, month_usd, request_parts
from stacks.costs.tiers import idle_gpu_cost

PAGE = ROOT / "docs/scale.md"
MARK = re.compile(r"(<!-- arithmetic -->\n).*?(<!-- end arithmetic -->)", re.DOTALL)
REGION, INSTANCE = "us-east-1", "ml.g6.xlarge"
A_DAY = 10**9
DAY_S = 24 * 3600
DAYS_PER_MONTH = 365 / 12
# A day's busiest second to its mean second: assumed. One's own is in the API's access log.
PEAK = 3
# Requests a second that one GPU might answer, none of them measured.
GPU_RATES = (100, 500, 2_000)
MEMORY_MB = LAMBDA_MB_PER_VCPU


def measured_ms() -> float:
    """Return the milliseconds of the example's classifier in its function, the median of `benchmarks.overhead`."""
    rows = json.loads((RESULTS / "overhead.json").read_text("utf-8"))["rows"]
    return float(next(row["p50"] for row in rows if row["what"] == "cpu handler, ms"))


def text() -> str:
    """Return the page's part in Markdown."""
    return "\n".join([*_traffic(), "", *_first(), "", *_raised(), "", *_costs(), "", *_gpus(), ""])


def _traffic() -> Iterator[str]:
    mean = A_DAY / DAY_S
    ms = measured_ms()
    billed = billed_ms(ms, MEMORY_MB)
    yield (
        f"10^9 requests a day are {mean:,.0f} a second on average, and {mean * PEAK:,.0f} at a peak that is taken "
        f"to be "
        f"{PEAK} times that. Each is an invocation of the router and one of the model, "
        f"{mean * INVOCATIONS:,.0f} a second and {mean * PEAK * INVOCATIONS:,.0f} at the peak. The example's "
        f"classifier "
        f"takes {ms:.1f} ms at {MEMORY_MB:,} MB, the median of `benchmarks.overhead`, billed as {billed:.1f}; the "
        f"router "
        f"waits for it. By Little's law {environments(mean, ms, MEMORY_MB):,.0f} environments are busy on average, and "
        f"{environments(mean * PEAK, ms, MEMORY_MB):,.0f} at the peak."
    )


def _first() -> Iterator[str]:
    yield (
        "**What breaks first**, with the requests a second that meet it. The stage's own throttle is to stand below "
        "all of them: it answers 429, and what AWS refuses behind it the gateway answers with 500 or 503."
    )
    yield ""
    yield "| requests a second | limit | what raises it |"
    yield "|---:|---|---|"
    for limit in limits(measured_ms(), MEMORY_MB):
        yield f"| {limit.per_second:,.0f} | {limit.name} | {limit.raised_by} |"


def _raised() -> Iterator[str]:
    peak = A_DAY / DAY_S * PEAK
    by_rate = ceil(peak * INVOCATIONS / INVOCATIONS_PER_ENVIRONMENT)
    busy = ceil(environments(peak, measured_ms(), MEMORY_MB))
    yield "**What has to be raised** for 10^9 a day:"
    yield ""
    yield (
        f"- *Lambda's concurrency* from {CONCURRENCY:,} to {max(by_rate, busy):,}: not for the {busy:,} "
        f"environments that "
        f"are busy, but for {INVOCATIONS_PER_ENVIRONMENT} invocations a second for each of the quota. Each "
        f"function gains "
        f"at most {GAINED_IN_10_S:,} environments in 10 s, so that the busy ones are there after "
        f"{max(1, ceil(busy / INVOCATIONS / GAINED_IN_10_S)) * 10} s."
    )
    yield (
        f"- *The gateway's rate* from {GATEWAY_PER_SECOND:,} to {peak:,.0f} a second, "
        f"{peak / GATEWAY_PER_SECOND:.1f} times "
        "the default; or several regions, each with a deployment of its own."
    )
    yield (
        f"- *The stage's throttle* in models.toml: `throttle = {{ rate = {peak:.0f}, "
        f"burst = {GATEWAY_BURST} }}`, the burst that AWS gives an account."
    )


def _costs() -> Iterator[str]:
    billed = billed_ms(measured_ms(), MEMORY_MB)
    parts = request_parts(
        billed, function_run(MEMORY_MB, billed), answer_bytes(Task.TEXT_CLASSIFICATION, 0)
    )
    month = month_usd(parts, A_DAY * DAYS_PER_MONTH, REGION)
    yield (
        "**Costs** a month, all on Lambda, at the prices of `stacks/prices.json` with their steps for many units, in "
        f"{REGION}:"
    )
    yield ""
    yield "| part | US dollars a month | share |"
    yield "|---|---:|---:|"
    total = sum(month.values())
    for part, usd in month.items():
        yield f"| {part} | {usd:,.0f} | {usd / total:.0%} |"
    yield f"| together | {total:,.0f} | |"
    yield ""
    yield (
        f"${total / (A_DAY * DAYS_PER_MONTH) * 1e6:.2f} a million requests. No request reads or writes DynamoDB: "
        "routes are in the router's image, and releases are parameters of Systems Manager, which only `GET /v1/models` "
        "reads."
    )


def _gpus() -> Iterator[str]:
    peak = A_DAY / DAY_S * PEAK
    yield (
        f"**Endpoints.** How many requests a second one {INSTANCE} answers was not measured: the build has no "
        f"GPU. At the "
        "peak it takes, all day and night:"
    )
    yield ""
    yield f"| answered a second by one {INSTANCE} | instances | US dollars a month |"
    yield "|---:|---:|---:|"
    for rate in GPU_RATES:
        count = ceil(peak / rate)
        yield f"| {rate:,} | {count:,} | {count * idle_gpu_cost(INSTANCE, REGION):,.0f} |"
    yield ""
    yield "The quota of instances is 0 to 2 on new accounts, and an endpoint's own limit has to be raised with it."


def filled(page: str) -> str:
    """Return a page with its arithmetic made anew."""
    return MARK.sub(lambda match: f"{match[1]}{text()}{match[2]}", page)


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text("utf-8")), "utf-8")
