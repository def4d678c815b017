"""Graphs with a cache: their shapes are settled, their tables shared, their weights packed."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from build.export.exporters import export_folder
from build.export.generator import DECODER_WITH_CACHE, prepare_causal, prepare_seq2seq
from build.export.optimum import environment as optimum
from build.export.torch_onnx import process as torch_onnx
from build.recipes.block_int8 import pack
from build.recipes.recipe import WeightFormat
from build.recipes.weight_only import pack4, pack4_offset, weight_only
from build.sources.huggingface.folder_files import read_folder_files
from build.sources.huggingface.generation_config import details
from functions.inference.decoder import LOGITS
from tests.fixtures.models.tiny_decoders import (
    CONTEXT,
    PROMPTS,
    built,
    generate,
    gpt2,
    llama,
    mistral,
    opened,
    qwen3,
    reference_tokens,
    t5,
)
from tests.fixtures.models.tiny_zoo import ZOO, classifier_of
from tests.fixtures.problems import raises


@pytest.mark.parametrize("bits", [8, 4])
def test_a_product_in_blocks_is_the_product_with_the_unpacked_weights(bits: int) -> None:
    random = np.random.default_rng(bits)
    matrix = random.normal(size=(64, 24)).astype(np.float32)
    matrix[:, 3] = 0
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"], name="product")],
        "product",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 64])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 24])],
        [numpy_helper.from_array(matrix, "w")],
    )
    weight_only(WeightFormat(f"int{bits}"))(graph)
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    x = random.normal(size=(5, 64)).astype(np.float32)
    packed, scales = (pack4 if bits == 4 else pack)(matrix)
    steps = np.stack([packed & 15, packed >> 4], -1) if bits == 4 else packed
    middle = 1 << (bits - 1)
    weights = (steps.reshape(24, 2, 32) - np.float32(middle)) * scales[:, :, None]
    np.testing.assert_allclose(weights.reshape(24, 64).T, matrix, atol={8: 0.02, 4: 0.35}[bits])
    wanted = x @ weights.reshape(24, 64).T
    np.testing.assert_allclose(session.run(None, {"x": x})[0], wanted, atol=0.3)


def test_weights_that_have_an_offset_in_each_block_are_kept_to_the_last_digit() -> None:
    random = np.random.default_rng(1)
    steps = random.integers(0, 16, (24, 2, 32))
    steps[:, :, :2] = (0, 15)  # a block has its least and its largest
    scales, low = random.uniform(0.1, 1, (2, 24, 2, 1)).astype(np.float32)
    blocks = (steps * scales - low).astype(np.float32)
    matrix = np.ascontiguousarray(blocks.reshape(24, 64).T)
    packed, found, middle = pack4_offset(matrix)
    np.testing.assert_array_equal(
        np.stack([packed & 15, packed >> 4], -1).reshape(24, 2, 32), steps
    )
    np.testing.assert_allclose(found, scales[:, :, 0], rtol=1e-5)
    x = random.integers(-127, 128, (1, 5, 64)).astype(np.float32)
    x[:, :, ::32] = 127  # what is read is kept as well, so that only the weights could differ
    product = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"], name="product")],
        "product",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, "n", 64])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, "n", 24])],
        [numpy_helper.from_array(matrix, "w")],
    )
    weight_only(WeightFormat.INT4_OFFSETS)(product)
    np.testing.assert_allclose(_run(product, x), x @ matrix, atol=2e-2)


def _run(graph: Any, x: Any) -> Any:
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})[0]


def test_tied_embeddings_are_stored_once(tmp_path: Path) -> None:
    source = llama(tmp_path / "llama")
    for bits in (None, 8, 4):
        change = weight_only(WeightFormat(f"int{bits}")) if bits else None
        folder = built(source, tmp_path / f"{bits}", change)
        graph = onnx.load(folder / "model.onnx").graph
        assert len(_tables(graph)) == 1


def _tables(graph: Any) -> list[str]:
    """Return the constants with as many values as the embedding."""
    (ids,) = (output for output in graph.output if output.name == "logits")
    words = ids.type.tensor_type.shape.dim[1].dim_value
    sizes = {tensor.name: int(np.prod(tensor.dims)) for tensor in graph.initializer}
    return [name for name, size in sizes.items() if size == words * 64]


@pytest.mark.exhaustive(keep=1)
@pytest.mark.parametrize("make", [gpt2, llama, t5])
def test_little_is_computed_about_shapes(tmp_path: Path, make: Any) -> None:
    folder = built(make(tmp_path / make.__name__), tmp_path / "cpu")
    name = "decoder.onnx" if make is t5 else "model.onnx"
    kinds = [node.op_type for node in onnx.load(folder / name).graph.node]
    assert kinds.count("Shape") <= 12
    assert len(kinds) < 200


@pytest.mark.parametrize("make", [gpt2, llama])
def test_attention_is_one_operator_a_layer_and_copies_no_cache(tmp_path: Path, make: Any) -> None:
    folder = built(make(tmp_path / make.__name__), tmp_path / "cpu")
    graph = onnx.load(folder / "model.onnx").graph
    kinds = [node.op_type for node in graph.node]
    assert kinds.count("GroupQueryAttention") == 2
    assert not {"Concat", "Expand", "Softmax", "Shape"} & set(kinds)
    assert "attention_mask" not in {value.name for value in graph.input}


def test_the_facts_come_from_the_folder(tmp_path: Path) -> None:
    facts = {"context": CONTEXT, "eos_token_ids": [1], "max_new_tokens": 24, "start_token_id": 1}
    assert details(read_folder_files(llama(tmp_path / "llama")), CONTEXT) == facts
    assert details(read_folder_files(t5(tmp_path / "t5")), CONTEXT) == facts


@pytest.mark.parametrize(("make", "fused"), [(qwen3, True), (mistral, False)])
def test_a_graph_is_fused_only_where_its_answers_stay_the_same(
    tmp_path: Path, make: Any, fused: bool
) -> None:
    source = make(tmp_path / make.__name__)
    model = opened(source, built(source, tmp_path / "cpu"))
    assert model.decoder.in_place is fused
    for prompt in (PROMPTS[0], PROMPTS[-1]):
        assert (
            generate(model, prompt, max_new_tokens=16).ids
            == reference_tokens(source, prompt, 16)[:-1]
        )


@pytest.mark.parametrize("make", [llama, t5])
def test_the_graphs_of_optimum_become_the_same_operators(tmp_path: Path, make: Any) -> None:
    source, graphs = make(tmp_path / make.__name__), []
    for name, export in (("torch", export_folder), ("optimum", optimum.export_folder)):
        folder = built(source, tmp_path / name, export=export)
        model = opened(source, folder)
        generated = generate(model, PROMPTS[0], max_new_tokens=12).ids
        assert generated == reference_tokens(source, PROMPTS[0], 12)[:-1]
        graphs.append(onnx.load(next(folder.glob("[dm]*.onnx"))).graph)
    kinds = [Counter(node.op_type for node in graph.node) for graph in graphs]
    heavy = ("MatMul", "Gemm", "GroupQueryAttention", "Softmax")
    by_torch, by_optimum = ({kind: found[kind] for kind in heavy} for found in kinds)
    assert by_torch == by_optimum
    assert kinds[0].total() <= kinds[1].total()


def test_an_architecture_of_another_form_is_named(tmp_path: Path) -> None:
    folder = t5(tmp_path / "t5")

    def export(source: Path, destination: Path, task: str) -> Path:
        """Bend the logits, as no architecture does."""
        exported = export_folder(source, destination, task)
        model = onnx.load(exported / DECODER_WITH_CACHE)
        node = next(n for n in model.graph.node if n.output[0] == LOGITS)
        node.output[0] = "straight"
        model.graph.node.append(onnx.helper.make_node("Sin", ["straight"], [LOGITS]))
        onnx.save(model, exported / DECODER_WITH_CACHE)
        return exported

    with raises("export_failed", folder, "architecture t5", "Sin"):
        prepare_seq2seq(folder, tmp_path / "cpu", CONTEXT, export)


def test_a_model_that_does_not_generate_cannot_be_exported(tmp_path: Path) -> None:
    (distilbert,) = [one for one in ZOO if one.name == "DistilBert"]
    source = classifier_of(tmp_path / "distilbert", distilbert)
    with raises("export_failed", "DistilBertConfig", "AutoModelForCausalLM"):
        prepare_causal(source, tmp_path / "cpu", CONTEXT, torch_onnx.export_folder)
