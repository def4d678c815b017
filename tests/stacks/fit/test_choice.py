"""The choice of an instance: the cheapest that fits, split or copied as needed; never better with more asked for."""

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from stacks.fit.choice import MAX_INSTANCES, Choice, choose
from stacks.fit.dtypes import Dtype, KvDtype
from stacks.fit.memory import BATCHED, BATCHED_LARGE, GIB, Load, batched_tokens, memory_on
from stacks.fit.model import Model, read_model
from stacks.instances import Instance, all_instances, gpus
from tests.stacks.fit.test_models import MODELS

LOAD = Load(context=2048, concurrency=4)
REGION = "us-east-1"


def model(name: str = "qwen2.5-14b", **options: Any) -> Model:
    return read_model(MODELS[name]["config"], **options)


def table(*names: str) -> dict[str, Instance]:
    return {name: all_instances()[name] for name in names}


def cheapest(load: Load, found: Model) -> float:
    offers = choose(found, load, REGION).offers
    return offers[0].usd_per_month if offers else float("inf")


def shown(found: Choice) -> list[tuple[str, int, int, int]]:
    return [(one.instance, one.count, one.copies, one.gpus_per_copy) for one in found.offers]


def test_the_offers_are_ordered_by_their_cost_and_the_rest_is_short() -> None:
    found = choose(model(), LOAD, REGION)
    costs = [one.usd_per_month for one in found.offers]
    assert costs == sorted(costs)
    assert found.offers[0].instance == "ml.g6e.xlarge"
    names = [one.instance for one in found.offers] + [one.instance for one in found.shortages]
    assert sorted(names) == sorted(all_instances())
    assert all(one.memory and one.memory.short for one in found.shortages)


def test_a_model_too_large_for_one_gpu_is_split_over_those_of_an_instance() -> None:
    assert shown(choose(model(), LOAD, REGION, table("ml.g6.xlarge", "ml.g6.12xlarge"))) == [
        ("ml.g6.12xlarge", 1, 2, 2)
    ]


def test_more_requests_than_one_copy_holds_take_more_instances() -> None:
    one = choose(model(), LOAD, REGION, table("ml.g6e.xlarge")).offers[0]
    most = one.memory.requests
    more = choose(
        model(), replace(LOAD, concurrency=2 * most), REGION, table("ml.g6e.xlarge")
    ).offers[0]
    assert (one.count, more.count) == (1, 2)
    assert more.usd_per_month == 2 * one.usd_per_month
    assert more.sequences == most


def test_an_instance_type_of_which_the_most_are_too_few_says_so() -> None:
    load = replace(LOAD, concurrency=100_000)
    found = choose(model(), load, REGION, table("ml.g6e.xlarge"))
    (short,) = found.shortages
    assert not found.offers
    assert str(MAX_INSTANCES) in short.why
    assert "100000" in short.why
    assert short.memory
    assert short.memory.short == 0


def test_a_shortage_is_what_one_request_lacks_on_the_best_split() -> None:
    # Each GPU needs the rest of its weights, a pass and one request, and has 22 GiB, of which 92 % may be used.
    (short,) = choose(
        model("reflection-llama-70b"), LOAD, REGION, table("ml.g6.12xlarge")
    ).shortages
    memory = short.memory
    assert memory
    assert short.gpus == 4
    assert memory.budget == int(gpus()["L4"].memory_gib * GIB * 0.92)
    needed = memory.weights + memory.workspace + memory.reserve + memory.cache.request_bytes
    assert memory.short == needed + memory.cache.block_bytes - memory.budget


@pytest.mark.parametrize("split", [1, 2, 4, 8])
def test_a_gpu_is_short_of_nothing_exactly_where_it_holds_a_request(split: int) -> None:
    for name in MODELS:
        found = model(name)
        for gpu in gpus().values():
            memory = memory_on(found, gpu, split, LOAD, 1)
            assert (memory.short == 0) == (memory.requests > 0)


@pytest.mark.parametrize("name", ["qwen2.5-14b", "phi-3-mini-4k", "gemma-2-2b", "deepseek-v3"])
def test_more_tokens_or_more_requests_never_cost_less(name: str) -> None:
    found = model(name)
    lengths = [replace(LOAD, context=length) for length in (256, 1024, 4096, 16_384, 65_536)]
    counts = [replace(LOAD, concurrency=count) for count in (1, 2, 7, 30, 200)]
    for loads in (lengths, counts):
        costs = [cheapest(load, found) for load in loads]
        assert all(less <= more for less, more in pairwise(costs)), costs


# What is quantized already has one type.
CONVERTIBLE = [name for name, case in MODELS.items() if "quantization_config" not in case["config"]]


@pytest.mark.parametrize("name", CONVERTIBLE)
def test_smaller_types_never_take_more_memory(name: str) -> None:
    h100 = gpus()["H100"]
    types = [(Dtype.FLOAT32, KvDtype.AUTO), (Dtype.BFLOAT16, KvDtype.AUTO), (Dtype.BFLOAT16, KvDtype.FP8)]  # fmt: skip
    free, requests = zip(
        *(
            (memory.free, memory.cache.request_bytes)
            for dtype, kv_dtype in (*types, (Dtype.FP8, KvDtype.FP8))
            if (memory := memory_on(model(name, dtype=dtype, kv_dtype=kv_dtype), h100, 1, LOAD, 1))
        ),
        strict=True,
    )
    assert all(less <= more for less, more in pairwise(free))
    assert all(more >= less for more, less in pairwise(requests))


def test_more_gpus_never_leave_one_of_them_less_room() -> None:
    for name in MODELS:
        found = model(name)
        splits = [count for count in (1, 2, 4, 8) if found.shape.splits(count)]
        free = [memory_on(found, gpus()["L40S"], count, LOAD, 4).free for count in splits]
        assert all(less <= more for less, more in pairwise(free))


def test_a_gpu_without_a_cache_in_fp8_is_left_out() -> None:
    found = choose(model("gemma-2b", kv_dtype=KvDtype.FP8), LOAD, REGION)
    assert {one.gpu for one in found.shortages} == {"T4"}
    assert all("T4" in one.why and one.memory is None for one in found.shortages)


def test_a_pass_has_as_many_tokens_as_vllm_gives_it_by_the_gpu() -> None:
    found = {name: batched_tokens(gpu) for name, gpu in gpus().items()}
    assert found == dict.fromkeys(gpus(), BATCHED) | {"H100": BATCHED_LARGE}


def test_every_instance_type_has_a_kind_of_gpu_that_is_known() -> None:
    assert {one.gpu for one in all_instances().values()} == set(gpus())
