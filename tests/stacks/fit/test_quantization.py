"""The bytes of quantized checkpoints, counted by hand."""

from typing import Any

import pytest

from stacks.fit.dtypes import Dtype
from stacks.fit.model import read_model
from stacks.fit.weights import bytes_on_gpu, linear_elements
from tests.stacks.fit.test_config import LLAMA

# The matrices of one of LLAMA's two layers, as (inputs, outputs): queries, keys, values, output; gate, up, down.
MATRICES = [(64, 64), (64, 32), (64, 32), (64, 64), (64, 128), (64, 128), (128, 64)]
# Embedding, head and norms, in 16 bits.
OTHERS = 2 * (2 * 1000 * 64 + 2 * 2 * 64 + 64)


def quantized(**quantization: Any) -> dict[str, Any]:
    return {**LLAMA, "quantization_config": quantization}


def test_awq_packs_eight_weights_and_eight_zeros_into_an_integer() -> None:
    found = read_model(quantized(quant_method="awq", bits=4, group_size=32, zero_point=True))
    each = [
        4 * columns * rows // 8 + 4 * (columns // 32) * rows // 8 + 2 * (columns // 32) * rows
        for columns, rows in MATRICES
    ]
    assert found.computed == OTHERS + 2 * sum(each)


def test_gptq_names_the_group_of_each_input_besides() -> None:
    awq = read_model(quantized(quant_method="awq", bits=4, group_size=32))
    gptq = read_model(quantized(quant_method="gptq", bits=4, group_size=32))
    assert awq.computed
    assert gptq.computed == awq.computed + 2 * 4 * sum(columns for columns, _ in MATRICES)


def test_without_a_group_size_a_row_has_one_scale() -> None:
    found = read_model(quantized(quant_method="awq", bits=8, group_size=-1))
    each = [columns * rows + rows + 2 * rows for columns, rows in MATRICES]
    assert found.computed == OTHERS + 2 * sum(each)


@pytest.mark.parametrize(
    ("scheme", "scales"),
    [
        ({}, [1] * 7),
        ({"activation_scheme": "static"}, [2] * 7),
        ({"weight_block_size": [32, 64]}, [2, 1, 1, 2, 4, 4, 4]),
    ],
    ids=["one scale", "with one of inputs", "blocks"],
)
def test_fp8_takes_a_byte_and_its_scales(scheme: dict[str, Any], scales: list[int]) -> None:
    found = read_model(quantized(quant_method="fp8", **scheme))
    weights = sum(columns * rows for columns, rows in MATRICES)
    assert found.computed == OTHERS + 2 * (weights + 4 * sum(scales))


def test_weights_that_vllm_quantizes_are_halved_and_the_others_stay() -> None:
    whole, halved = read_model(LLAMA), read_model(LLAMA, dtype=Dtype.FP8)
    assert whole.weights.linear - halved.weights.linear == linear_elements(whole.shape) - 4 * 14
    assert halved.computed == whole.computed


def test_what_the_index_has_beside_the_others_is_quantized() -> None:
    config = quantized(quant_method="compressed-tensors")
    found = read_model(config, OTHERS + 12_345)
    assert found.weights.linear == 12_345
    # The padding of the vocabulary to 1,024 rows comes on top.
    assert bytes_on_gpu(found.shape, found.weights, 1) == OTHERS + 12_345 + 2 * 2 * 24 * 64


def test_an_index_that_is_smaller_than_the_embeddings_leaves_nothing_negative() -> None:
    found = read_model(quantized(quant_method="compressed-tensors"), 1000)
    assert found.weights.linear == 1
