"""A plan as a user reads it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from contracts.cascade.contradictions import ALL, KEPT
from contracts.limits import LAMBDA_IMAGE_BYTES, LAMBDA_INIT_S
from contracts.tasks import Tier
from stacks.costs.prices import Price
from stacks.costs.tiers import per_second
from turnout.image.footprint import gb, shown_init, shown_sizes
from turnout.plan.around import Around, priced, usd_of
from turnout.plan.costs import BreakEven, TierCost, total
from turnout.plan.domain import shown_domain
from turnout.plan.gpu_memory import shown_memory
from turnout.plan.latency import Latency
from turnout.plan.plan import Plan
from turnout.plan.pushed import shown_serving
from turnout.terminal import usd

MILLION = 1_000_000
# What a canary is judged by, by the answers of the CPU tier that the GPU tier is asked for as well.
JUDGED = {
    ALL: "a canary is taken back on an error, or if the GPU tier contradicts more of its shadows than before",
    KEPT: "a canary is taken back on an error, or if the GPU tier contradicts more of its samples than before",
    "": "a canary is judged by errors alone: none of its answers is compared with a GPU tier's",
}
PARTS = ("front door", "router", "model", "logs", "answer")


def show(found: Plan, console: Console) -> None:
    plan = found.document
    table = Table("model", "tier", "source", "build", "runs on", "stack", box=None, pad_edge=False)
    for row in plan["tiers"]:
        shown = (row[key] for key in ("model", "tier", "source", "build", "runs_on", "stack"))
        table.add_row(*shown)
    console.print(table)
    console.print()
    console.print(_images(found))
    throttle = plan["throttle"]
    console.print(
        f"\nrouter: stack {plan['router']} in {plan['region']}, HTTP API, which lets {throttle['rate']:g} requests a "
        f"second and {throttle['burst']} at once through",
        soft_wrap=True,
    )
    if streams := plan["streams"]:
        usd_each = streams["usd_per_million_requests"]
        console.print(
            f"streams: function {streams['function']}, REST API with the same throttle, {streams['minutes']} minutes "
            f"at most, {usd(usd_each)} a million requests ({streams['price']})",
            soft_wrap=True,
        )
    if plan["domain"]:
        console.print(shown_domain(plan["domain"]), soft_wrap=True)
    if throttle["warning"]:
        console.print(f"[bold yellow]{throttle['warning']}[/]", soft_wrap=True)
    for model, cascade in plan["cascades"].items():
        console.print(shown_cascade(model, cascade), soft_wrap=True)
    for model, compared in plan["canaries"].items():
        console.print(f"{model}: {JUDGED[compared]}", soft_wrap=True)
    console.print()
    show_costs(found.costs, found.break_evens, found.around, plan["region"], console)
    _show_gpus(found, console)
    _warn(found, console)


def _show_gpus(found: Plan, console: Console) -> None:
    """Print what fits the GPUs, and which tiers nobody has seen answer."""
    for memory in found.memories:
        console.print(shown_memory(memory), soft_wrap=True)
    for row in found.document["tiers"]:
        if row["vllm"]:
            console.print(shown_serving(row["vllm"], row["model"]), soft_wrap=True)
        if wake := row["wake"]:
            minutes = wake["seconds"] / 60
            console.print(
                f"{row['model']} gpu may sleep, and answers {minutes:.0f} minutes after the first call: {wake['of']}",
                soft_wrap=True,
            )
        if row["proved"] is False:
            console.print(
                f"[bold yellow]{row['model']} gpu is not proved[/]: no machine of yours has run its weights; run "
                f"`turnout verify {row['model']} --tier gpu` once it is deployed",
                soft_wrap=True,
            )


def shown_cascade(model: str, cascade: Mapping[str, Any]) -> str:
    """Return what the router escalates of a model, or why it escalates nothing."""
    if cascade["off"]:
        return f"[bold yellow]{model}: nothing is escalated to the GPU tier[/]: {cascade['off']}"
    kept = f"{cascade['kept']:.1%} of the {cascade['rows']:,} test rows"
    bound = (
        f"with a probability of {cascade['assurance']:.0%} at most {cascade['bound']:.2%} are lost"
    )
    if cascade["doubts"]:
        bound = f"[bold yellow]no bound holds[/]: {'; '.join(cascade['doubts'])}"
    return f"{model}: answers from a confidence of {cascade['threshold']:.4f} are kept, {kept}; {bound}"


def _images(found: Plan) -> Table:
    """Return the table of images, with Lambda's limits at its top."""
    limits = (f"unpacked (Lambda: {gb(LAMBDA_IMAGE_BYTES)})", f"INIT (Lambda: {LAMBDA_INIT_S} s)")
    table = Table("image", "compressed", *limits, box=None, pad_edge=False)
    for row, size in zip(found.document["tiers"], found.footprints, strict=True):
        if row["vllm"]:
            table.add_row(row["stack"], "AWS's own container of vLLM")
            continue
        start = "" if row["tier"] == Tier.GPU else shown_init(size)
        table.add_row(row["stack"], *shown_sizes(size), start)
    return table


def show_costs(
    costs: Sequence[TierCost],
    evens: Sequence[BreakEven],
    beside: Sequence[Around],
    region: str,
    console: Console,
) -> None:
    """Print what each tier costs and what is around them, what that was computed from, and where tiers break even."""
    table = Table("US dollars", "idle, a month", box=None, pad_edge=False)
    for part in ("a million requests", *PARTS):
        table.add_column(part, justify="right")
    for cost in costs:
        for name, parts in _rows(cost):
            table.add_row(name, usd(cost.idle_usd), *_cells(parts))
    console.print(table)
    console.print()
    console.print(_beside(beside, region))
    console.print()
    for cost in costs:
        latency = cost.latency
        said = latency.shown if isinstance(latency, Latency) else latency
        console.print(f"{cost.model} {cost.tier}: {said}", soft_wrap=True)
    for one in evens:
        console.print(shown_break_even(one), soft_wrap=True)
    for line in _notes(priced(costs, beside, region), region):
        console.print(line, soft_wrap=True, style="dim")


def _rows(cost: TierCost) -> Iterator[tuple[str, Mapping[str, float]]]:
    """Yield the lines of a tier: one of a function, and one of a GPU for each rate."""
    name = f"{cost.model} {cost.tier}"
    if cost.tier is Tier.CPU:
        yield name, cost.request
    for rate, parts in cost.rates.items():
        yield f"{name}, {rate} a second", parts


def _cells(parts: Mapping[str, float]) -> list[str]:
    if not parts:
        return ["not measured", *("" for _ in PARTS)]
    return [usd(total(parts)), *(usd(parts[part] * MILLION) for part in PARTS)]


def shown_break_even(one: BreakEven) -> str:
    """Return a sentence on the traffic from which a GPU is cheaper."""
    instance = f"its {one.instance}" if one.deployed else f"an {one.instance}, were it deployed,"
    if one.requests_per_month is None:
        return f"{one.model}: {instance} is cheaper than Lambda at no traffic"
    rate = per_second(one.requests_per_month)
    return (
        f"{one.model}: {instance} is cheaper than Lambda at that latency from "
        f"{shown_count(one.requests_per_month)} requests a month on, {rate:,.{1 if rate < 100 else 0}f} a second day "
        f"and night, if one instance answers as many"
    )


def shown_count(count: float) -> str:
    """Return a number of requests in thousands, millions or billions."""
    for size, word in ((1e9, " billion"), (1e6, " million"), (1e3, " thousand")):
        if count >= size:
            return f"{count / size:.3g}{word}"
    return f"{count:.0f}"


def _beside(beside: Sequence[Around], region: str) -> Table:
    """Return the table of what is around the tiers."""
    table = Table("around the tiers, US dollars", box=None, pad_edge=False)
    for name in ("idle, a month", "busy, a month more", "a million requests more"):
        table.add_column(name, justify="right")
    for one in beside:
        months = (usd(usd_of(units, region)) if units else "" for units in (one.idle, one.busy))
        table.add_row(one.what, *months, _a_million(one, region))
    return table


def _a_million(one: Around, region: str) -> str:
    if one.request is None:
        return "not measured"
    return usd(usd_of(one.request, region) * MILLION) if one.request else ""


def _notes(found: Sequence[Price], region: str) -> list[str]:
    """Return a line of prices for each region and day they were read in; another region's is said to be one."""
    prices: dict[str, Price] = {one.name: one for one in found}
    notes: dict[str, list[str]] = {}
    for one in prices.values():
        here = one.region == region
        note = one.note if here else f"{one.note}, since none of {region} is known"
        notes.setdefault(note, []).append(f"${shown_price(one.first)} each {one.unit}")
    return [f"{note}: {'; '.join(said)}" for note, said in notes.items()]


def shown_price(usd: float) -> str:
    """Return a price in plain digits: many are a small part of a cent."""
    return f"{usd:.10f}".rstrip("0").rstrip(".")


def _warn(found: Plan, console: Console) -> None:
    """Say what a GPU costs while idle: it is billed by the hour from the deployment on."""
    for row, cost in zip(found.document["tiers"], found.costs, strict=True):
        if cost.instances:
            low, high = cost.instances
            instance = row["runs_on"].split()[-1]
            when = (
                "day and night until its stack is deleted"
                if low
                else "while requests come and in the hours that keep it awake, and one is paid for whenever it wakes"
            )
            console.print(
                f"[bold yellow]{row['stack']} costs {usd(cost.idle_usd)} a month even when nobody calls it[/] "
                f"({cost.prices[0].note}): its {instance} runs {when}. While it is updated one more runs, so the "
                f"account needs a quota of {high + 1} for {instance} for endpoint usage.",
                soft_wrap=True,
            )
