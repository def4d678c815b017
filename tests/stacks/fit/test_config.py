"""Settings of a config.json that are missing, of another kind, unknown or contradictory: each is named."""

from typing import Any

import pytest

from contracts.problems import Code
from stacks.fit.config import Config, Unsized
from stacks.fit.dtypes import Dtype, KvDtype
from stacks.fit.model import read_model
from tests.fixtures.problems import assert_problems

LLAMA: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "hidden_size": 64,
    "intermediate_size": 128,
    "max_position_embeddings": 512,
    "num_attention_heads": 4,
    "num_hidden_layers": 2,
    "num_key_value_heads": 2,
    "torch_dtype": "bfloat16",
    "vocab_size": 1000,
}
AWQ = {"quant_method": "awq", "bits": 4, "group_size": 32}


def problems(config: dict[str, Any], **options: Any) -> tuple[Any, ...]:
    with pytest.raises(Unsized) as caught:
        read_model(config, **options)
    return caught.value.problems


@pytest.mark.parametrize("key", ["hidden_size", "num_hidden_layers", "vocab_size"])
def test_a_missing_number_is_named(key: str) -> None:
    config = {name: value for name, value in LLAMA.items() if name != key}
    assert_problems(
        problems(config), *[(Code.SETTING_MISSING, f"`{key}`", "give it the whole number")]
    )


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("hidden_size", "64", "write it without quotes"),
        ("hidden_size", 64.5, "64.5"),
        ("num_hidden_layers", 0, "at least 1"),
        ("num_hidden_layers", True, "True"),
        ("vocab_size", -1, "-1"),
        ("num_key_value_heads", 3, "does not divide 4 heads"),
        ("attention_bias", "true", "true or false"),
        ("layer_types", "full_attention", "a list of texts"),
        ("torch_dtype", "int8", "bfloat16"),
        ("rope_scaling", {"rope_type": "yarn"}, "`factor`"),
        ("quantization_config", "awq", "is not an object"),
    ],
)
def test_a_setting_of_another_kind_is_named_with_what_it_has_to_be(
    key: str, value: Any, said: str
) -> None:
    assert_problems(problems({**LLAMA, key: value}), (Code.SETTING_INVALID, f"`{key}`", said))


def test_everything_wrong_is_found_at_once() -> None:
    found = problems({"architectures": ["GPT2LMHeadModel"], "n_embd": "768"})
    keys = ("n_embd", "num_attention_heads", "n_positions", "num_hidden_layers", "vocab_size")
    missing = {f"`{key}`" for key in keys}
    assert {problem.where for problem in found} == missing


@pytest.mark.parametrize("names", [["BertModel"], [], None])
def test_an_unknown_architecture_is_named_with_the_known_ones(names: list[str] | None) -> None:
    (found,) = problems({**LLAMA, "architectures": names})
    assert (found.code, found.where) == (Code.ARCHITECTURE_UNSUPPORTED, "`architectures`")
    assert (names or ["none"])[0] in found.message
    assert "LlamaForCausalLM" in found.message


@pytest.mark.parametrize(
    "hybrid",
    [
        {"layer_types": ["linear_attention", "full_attention"]},
        {"attn_type_list": [0, 1]},
        {"full_attention_interval": 4},
        {"attention_chunk_size": 8192},
    ],
)
def test_a_model_with_layers_of_another_kind_is_refused(hybrid: dict[str, Any]) -> None:
    (key,) = hybrid
    found = problems({**LLAMA, **hybrid})
    assert_problems(found, (Code.ARCHITECTURE_UNSUPPORTED, f"`{key}`", "hybrid"))


def test_layer_types_have_to_name_every_layer() -> None:
    config = {**LLAMA, "sliding_window": 16, "layer_types": ["sliding_attention"]}
    assert_problems(problems(config), (Code.SETTING_INVALID, "`layer_types`", "1", "2"))


def test_a_checkpoint_that_is_quantized_is_not_quantized_again() -> None:
    config = {**LLAMA, "quantization_config": AWQ}
    found = problems(config, dtype=Dtype.FP8)
    assert_problems(found, (Code.SETTING_INVALID, "`quantization_config`", "--dtype fp8"))


@pytest.mark.parametrize(
    "quantization",
    [
        {"quant_method": "compressed-tensors"},
        {**AWQ, "modules_to_not_convert": ["model.layers.0.mlp.up_proj"]},
        {"quant_method": "fp8", "ignored_layers": ["q_proj"]},
    ],
)
def test_weights_whose_bytes_the_settings_do_not_tell_need_an_index(
    quantization: dict[str, Any],
) -> None:
    config = {**LLAMA, "quantization_config": quantization}
    found = problems(config)
    assert_problems(
        found, (Code.FORMAT_UNSUPPORTED, "`quantization_config`", "model.safetensors.index.json")
    )
    assert read_model(config, 500_000).computed is None


@pytest.mark.parametrize(
    ("quantization", "code", "where"),
    [
        ({}, Code.SETTING_MISSING, "quant_method"),
        ({"quant_method": "awq"}, Code.SETTING_MISSING, "bits"),
        ({"quant_method": "awq", "bits": "4"}, Code.SETTING_INVALID, "bits"),
        ({"quant_method": "fp8", "weight_block_size": [128]}, Code.SETTING_INVALID, "weight_block_size"),
        ({"quant_method": "fp8", "weight_block_size": "128"}, Code.SETTING_INVALID, "weight_block_size"),
    ],
)  # fmt: skip
def test_a_setting_of_the_quantization_is_named_within_it(
    quantization: dict[str, Any], code: Code, where: str
) -> None:
    found = problems({**LLAMA, "quantization_config": quantization})
    assert (found[0].code, found[0].where) == (code, f"quantization_config: `{where}`")


@pytest.mark.parametrize(
    ("rope", "context"),
    [
        (None, 512),
        ({"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 256}, 1024),
        ({"type": "linear", "factor": 2}, 1024),
        ({"rope_type": "llama3", "factor": 8.0}, 512),
    ],
)
def test_a_stretched_rope_reads_more_tokens(rope: dict[str, Any] | None, context: int) -> None:
    assert read_model({**LLAMA, "rope_scaling": rope}).shape.context == context


@pytest.mark.parametrize(
    ("stored", "dtype", "kv_dtype", "served"),
    [
        ("bfloat16", Dtype.AUTO, KvDtype.AUTO, ("bfloat16", "bfloat16", 2)),
        ("float32", Dtype.AUTO, KvDtype.AUTO, ("bfloat16", "bfloat16", 2)),
        (None, Dtype.AUTO, KvDtype.FP8, ("bfloat16", "fp8", 1)),
        ("bfloat16", Dtype.FLOAT32, KvDtype.AUTO, ("float32", "float32", 4)),
        ("float16", Dtype.FP8, KvDtype.AUTO, ("fp8", "bfloat16", 2)),
    ],
)
def test_weights_and_cache_are_served_in_the_types_that_vllm_takes(
    stored: str | None, dtype: Dtype, kv_dtype: KvDtype, served: tuple[str, str, int]
) -> None:
    found = read_model({**LLAMA, "torch_dtype": stored}, dtype=dtype, kv_dtype=kv_dtype)
    assert (found.dtype, found.kv_dtype, found.kv_bytes) == served


def test_a_list_of_numbers_is_one() -> None:
    config = Config({"mlp_only_layers": [1, "2"]})
    assert config.numbers("mlp_only_layers") == ()
    assert_problems(config.problems, (Code.SETTING_INVALID, "`mlp_only_layers`", "whole numbers"))
