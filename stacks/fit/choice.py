"""The cheapest instances that serve a model, and what is too much where none does."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from stacks.costs.prices import instance_price
from stacks.costs.tiers import HOURS_PER_MONTH
from stacks.fit.dtypes import KvDtype
from stacks.fit.memory import Load, Memory, memory_on
from stacks.fit.model import Model
from stacks.instances import Instance, all_instances, gpus

# Instances of one type that are tried; an account's quota is seldom more.
MAX_INSTANCES = 16
# The least compute capability whose KV cache vLLM (0.32.0) keeps in FP8: that of FlashInfer.
FP8_CACHE = 8.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """So many instances of a type with copies of the model, each split over some of an instance's GPUs.

    `sequences` are the requests at once that each copy gets, `memory` that of one GPU with them.
    """

    instance: str
    gpu: str
    count: int
    copies: int
    gpus_per_copy: int
    sequences: int
    memory: Memory
    usd_per_month: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Shortage:
    """An instance type that the model does not fit, with the best split.

    `memory` is that of one GPU with one request, None where the GPU has no cache of that type. `why` says what
    else is in the way where one request would fit.
    """

    instance: str
    gpu: str
    gpus: int
    memory: Memory | None
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The offers, the cheapest first, and the instance types that the model does not fit."""

    offers: tuple[Offer, ...]
    shortages: tuple[Shortage, ...]


def choose(
    model: Model, load: Load, region: str, table: Mapping[str, Instance] | None = None
) -> Choice:
    """Return the best offer of each instance type in `table`, which is every type by default."""
    offers: list[Offer] = []
    shortages: list[Shortage] = []
    for name, instance in (all_instances() if table is None else table).items():
        found = list(_offers(model, load, region, name, instance))
        if found:
            offers.append(min(found, key=lambda one: (one.usd_per_month, one.gpus_per_copy)))
        else:
            shortages.append(_shortage(model, load, name, instance))
    offers.sort(key=lambda one: (one.usd_per_month, one.count, one.instance))
    return Choice(offers=tuple(offers), shortages=tuple(shortages))


def _offers(
    model: Model, load: Load, region: str, name: str, instance: Instance
) -> Iterator[Offer]:
    """Yield an offer for each split with which enough copies fit on few enough instances."""
    if _unable(model, instance):
        return
    hour = instance_price(name, region).first
    for split in _splits(model, instance):
        each = instance.gpus // split
        for count in range(1, MAX_INSTANCES + 1):
            sequences = -(-load.concurrency // (count * each))
            memory = memory_on(model, gpus()[instance.gpu], split, load, sequences)
            if memory.requests >= sequences:
                yield Offer(
                    instance=name,
                    gpu=instance.gpu,
                    count=count,
                    copies=count * each,
                    gpus_per_copy=split,
                    sequences=sequences,
                    memory=memory,
                    usd_per_month=count * hour * HOURS_PER_MONTH,
                )
                break


def _splits(model: Model, instance: Instance) -> list[int]:
    """Return the numbers of GPUs that a copy can be split over."""
    counts = (2**power for power in range(instance.gpus.bit_length()))
    return [count for count in counts if model.shape.splits(count)]


def _unable(model: Model, instance: Instance) -> str:
    """Return why a kind of GPU cannot keep the KV cache of a model, empty where it can."""
    if model.kv_dtype == KvDtype.FP8 and gpus()[instance.gpu].capability < FP8_CACHE:
        return f"a {instance.gpu} has no KV cache in FP8"
    return ""


def _shortage(model: Model, load: Load, name: str, instance: Instance) -> Shortage:
    """Return what an instance type lacks for one request, or for all on the most instances."""
    why, memory, split = _unable(model, instance), None, instance.gpus
    if not why:
        least = {
            split: memory_on(model, gpus()[instance.gpu], split, load, 1)
            for split in _splits(model, instance)
        }
        split = min(least, key=lambda count: (least[count].short, count))
        memory = least[split]
        if not memory.short:
            most = MAX_INSTANCES * (instance.gpus // split) * memory.requests
            why = f"{MAX_INSTANCES} instances run no more than {most} of {load.concurrency} requests at once"
    return Shortage(instance=name, gpu=instance.gpu, gpus=split, memory=memory, why=why)
