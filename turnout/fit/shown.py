"""An answer of `turnout fit` as a user reads it."""

from collections.abc import Iterator

from rich.console import Console
from rich.table import Table

from stacks.costs.prices import instance_price
from stacks.fit.choice import Offer, Shortage
from stacks.fit.kv_cache import token_bytes
from stacks.fit.memory import GIB, Memory
from stacks.fit.weights import elements
from turnout.fit.fitting import Fit
from turnout.terminal import usd

# Lines of each table that are shown; --json has all.
MOST = 5


def show(found: Fit, console: Console) -> None:
    """Print the model's sizes, the offers or what each instance type lacks, and the next step."""
    for line in _model(found):
        console.print(line, soft_wrap=True)
    console.print()
    if found.choice.offers:
        console.print(_offers(found.choice.offers[:MOST]))
        console.print()
        console.print(f"[bold]{_cheapest(found)}[/]", soft_wrap=True)
    else:
        console.print(_shortages(found.choice.shortages))
        console.print()
        console.print("[bold red]no instance type of the table fits[/]", soft_wrap=True)
        for line in _advice(found):
            console.print(line, soft_wrap=True)
    for line in _notes(found):
        console.print(line, soft_wrap=True, style="dim")


def _model(found: Fit) -> Iterator[str]:
    model, load = found.model, found.load
    count = elements(model.shape)
    yield f"{found.described.where}: {count / 1e9:.2f} billion parameters, {model.shape.depth} layers"
    yield f"weights: {_checkpoint(found)}; served in {model.dtype}"
    each = token_bytes(model.shape, model.kv_bytes)
    windows = sum(count for layer, count in model.shape.layers if layer.window)
    slides = f", {windows} layers keep no more than their window" if windows else ""
    yield f"KV cache: {each:,} bytes a token in {model.kv_dtype}{slides}"
    yield f"wanted: {load.concurrency} at once, each of {load.context:,} tokens with its answer"


def _checkpoint(found: Fit) -> str:
    computed, stored = found.model.computed, found.model.stored
    if stored is None:
        return (
            f"{computed:,} bytes by config.json"
            if computed
            else "of no type that config.json states"
        )
    if computed is None or computed == stored:
        return f"{stored:,} bytes in the checkpoint" + (
            ", as config.json has it" if computed else ""
        )
    more = "more" if stored > computed else "less"
    return (
        f"{stored:,} bytes in the checkpoint, {abs(stored - computed):,} {more} than config.json accounts for "
        "(copies of tied embeddings, layers that are not served, or a config of another model)"
    )


def _offers(offers: tuple[Offer, ...]) -> Table:
    table = Table("instances", "GPUs of a copy", "copies", box=None, pad_edge=False)
    for name in ("weights", "KV cache", "requests at once", "a month"):
        table.add_column(name, justify="right")
    for one in offers:
        memory = one.memory
        table.add_row(
            f"{one.count} {one.instance}",
            f"{one.gpus_per_copy} {one.gpu}",
            str(one.copies),
            gib(memory.weights),
            gib(memory.free),
            str(one.copies * memory.requests),
            usd(one.usd_per_month),
        )
    return table


def _cheapest(found: Fit) -> str:
    one, load = found.choice.offers[0], found.load
    options = f"--tensor-parallel-size {one.gpus_per_copy} --max-model-len {load.context}"
    options += f" --max-num-seqs {one.sequences}"
    if found.model.kv_dtype == "fp8":
        options += " --kv-cache-dtype fp8"
    if found.wanted.dtype == "fp8":
        options += " --quantization fp8"
    return (
        f"cheapest: {one.count} {one.instance} at {usd(one.usd_per_month)} a month, day and night; vLLM's options of "
        f"each copy: {options}"
    )


def _shortages(shortages: tuple[Shortage, ...]) -> Table:
    table = Table("instance", "GPUs of a copy", box=None, pad_edge=False)
    for name in ("may use", "weights", "a pass", "reserve", "one request", "too much by"):
        table.add_column(name, justify="right")
    for one in sorted(shortages, key=lambda one: one.memory.short if one.memory else 0):
        cells = _cells(one.memory) if one.memory and not one.why else ("", "", "", "", "", one.why)
        table.add_row(one.instance, f"{one.gpus} {one.gpu}", *cells)
    return table


def _cells(memory: Memory) -> tuple[str, ...]:
    sizes = (memory.budget, memory.weights, memory.workspace, memory.reserve)
    return (*map(gib, sizes), gib(memory.cache.request_bytes), gib(memory.short))


def _advice(found: Fit) -> Iterator[str]:
    if not found.advice:
        yield (
            "neither a shorter context nor types in 8 bits would do: take a checkpoint that is quantized to 4 bits, or "
            "a smaller model"
        )
    for options, offer in found.advice:
        yield f"with {options}: {offer.count} {offer.instance}, {usd(offer.usd_per_month)} a month"


def _notes(found: Fit) -> Iterator[str]:
    load = found.load
    yield (
        f"of a GPU's memory vLLM may use {load.utilization:.0%}; {load.reserve_gib:g} GiB of that are reserved for "
        "CUDA graphs and the like, which is an assumption, and a pass is estimated: nothing here was measured on a GPU"
    )
    prices = {
        instance_price(one.instance, found.wanted.region) for one in found.choice.offers[:MOST]
    }
    here = found.wanted.region
    for note in sorted(
        {
            one.note if one.region == here else f"{one.note}, since none of {here} is known"
            for one in prices
        }
    ):
        yield f"prices: {note}"


def gib(size: int) -> str:
    """Return bytes in GiB, with two decimals."""
    return f"{size / GIB:.2f} GiB"
