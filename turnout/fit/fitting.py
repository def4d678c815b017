"""The answer of `turnout fit`: the choice of an instance, and where none fits, the changes with which one does."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from contracts.problems import Code, Problem
from stacks.fit.choice import Choice, Offer, Shortage, choose
from stacks.fit.config import Unsized
from stacks.fit.dtypes import Dtype, KvDtype
from stacks.fit.kv_cache import token_bytes
from stacks.fit.memory import Load, Memory
from stacks.fit.model import Model, read_model
from stacks.fit.quantization import KEY
from stacks.fit.weights import elements
from stacks.instances import Instance
from turnout.fit.source import Described

# Tokens of a request by default, also of models that read more.
CONTEXT = 8192
# Requests are no shorter than this in an advice.
SHORTEST = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """The requests, the types, the region whose prices count, and the instance types in question.

    `context` is None for the model's own, at most `CONTEXT`.
    """

    context: int | None
    concurrency: int
    utilization: float
    reserve_gib: float
    dtype: Dtype
    kv_dtype: KvDtype
    region: str
    table: Mapping[str, Instance]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """A model with the choice; `advice` are the options with which one fits where none does, each with its offer."""

    described: Described
    model: Model
    wanted: Wanted
    load: Load
    choice: Choice
    advice: Sequence[tuple[str, Offer]]

    def to_json(self) -> dict[str, Any]:
        model, load = self.model, self.load
        return {
            "source": self.described.where,
            "parameters": elements(model.shape),
            "weights": {
                "dtype": model.dtype,
                "checkpoint_bytes": model.stored,
                "computed_checkpoint_bytes": model.computed,
            },
            "kv_cache": {
                "dtype": model.kv_dtype,
                "bytes_per_token": token_bytes(model.shape, model.kv_bytes),
            },
            "wanted": {
                "context": load.context,
                "concurrency": load.concurrency,
                "gpu_memory_utilization": load.utilization,
                "reserve_gib": load.reserve_gib,
                "region": self.wanted.region,
            },
            "fits": [_offer(one) for one in self.choice.offers],
            "does_not_fit": [_shortage(one) for one in self.choice.shortages],
            "advice": [
                {"options": options, "then": _offer(offer)} for options, offer in self.advice
            ],
        }


def fit(described: Described, wanted: Wanted) -> Fit:
    """Return which instances serve a model; raise Unsized."""
    model, load, choice = _chosen(described, wanted)
    advice = (
        () if choice.offers else tuple(_advice(described, replace(wanted, context=load.context)))
    )
    return Fit(
        described=described, model=model, wanted=wanted, load=load, choice=choice, advice=advice
    )


def _chosen(described: Described, wanted: Wanted) -> tuple[Model, Load, Choice]:
    model = read_model(
        described.config,
        described.stored,
        dtype=wanted.dtype,
        kv_dtype=wanted.kv_dtype,
        where=described.where,
    )
    longest = model.shape.context
    context = min(longest, CONTEXT) if wanted.context is None else wanted.context
    if context > longest:
        message = f"is {context}, more than the {longest} tokens that the model reads; lower it"
        raise Unsized(
            described.where,
            [Problem(code=Code.LENGTH_INVALID, where="--context", message=message)],
        )
    load = Load(
        context=context,
        concurrency=wanted.concurrency,
        utilization=wanted.utilization,
        reserve_gib=wanted.reserve_gib,
    )
    return model, load, choose(model, load, wanted.region, wanted.table)


def _advice(described: Described, wanted: Wanted) -> Iterator[tuple[str, Offer]]:
    """Yield each change with which an instance fits: a shorter context, fewer requests, types in 8 bits."""
    shorter = (wanted.context or 0) // 2
    while shorter >= SHORTEST:
        if offer := _cheapest(described, replace(wanted, context=shorter)):
            yield f"--context {shorter}", offer
            break
        shorter //= 2
    changes = {
        "--concurrency 1": replace(wanted, concurrency=1),
        "--kv-dtype fp8": replace(wanted, kv_dtype=KvDtype.FP8),
        "--dtype fp8": replace(wanted, dtype=Dtype.FP8),
        "--dtype fp8 --kv-dtype fp8": replace(wanted, dtype=Dtype.FP8, kv_dtype=KvDtype.FP8),
    }
    for options, changed in changes.items():
        quantized = changed.dtype is Dtype.FP8 and described.config.get(KEY) is not None
        if changed != wanted and not quantized and (offer := _cheapest(described, changed)):
            yield options, offer


def _cheapest(described: Described, wanted: Wanted) -> Offer | None:
    offers = _chosen(described, wanted)[2].offers
    return offers[0] if offers else None


def _offer(one: Offer) -> dict[str, Any]:
    return {
        "instance": one.instance,
        "gpu": one.gpu,
        "instances": one.count,
        "copies": one.copies,
        "tensor_parallel_size": one.gpus_per_copy,
        "requests_per_copy": one.memory.requests,
        "usd_per_month": round(one.usd_per_month, 2),
        "gpu_bytes": _memory(one.memory),
    }


def _shortage(one: Shortage) -> dict[str, Any]:
    return {
        "instance": one.instance,
        "gpu": one.gpu,
        "tensor_parallel_size": one.gpus,
        "why": one.why or None,
        "short_bytes": one.memory.short if one.memory else None,
        "gpu_bytes": _memory(one.memory) if one.memory else None,
    }


def _memory(memory: Memory) -> dict[str, int]:
    return {
        "budget": memory.budget,
        "weights": memory.weights,
        "workspace": memory.workspace,
        "reserve": memory.reserve,
        "kv_cache": max(0, memory.free),
        "kv_cache_per_request": memory.cache.request_bytes,
    }
