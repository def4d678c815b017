"""The gate's arithmetic, and the recipes it chooses from."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from build.blocks import BLOCK, in_blocks, pack
from build.gate import MEASURES, LabelFigures, VectorFigures, figures_of
from build.rows import Row
from contracts.specs import Gate
from contracts.tasks import Task

LABELS = ("a", "b")


@pytest.mark.parametrize(
    ("figures", "failures"),
    [
        (LabelFigures(accuracy_original=0.9, accuracy_built=0.9, agreement=1), []),
        (LabelFigures(accuracy_original=0.9, accuracy_built=0.891, agreement=0.98), []),
        (
            LabelFigures(accuracy_original=0.9, accuracy_built=0.89, agreement=0.99),
            ["accuracy 0.8900 is below 0.8910 (min_accuracy_ratio 0.99 of the original's 0.9000)"],
        ),
        (
            LabelFigures(accuracy_original=0.5, accuracy_built=0.6, agreement=0.9799),
            ["same label on 0.9799, below min_agreement 0.98"],
        ),
        (
            LabelFigures(accuracy_original=1, accuracy_built=0, agreement=0),
            [
                "accuracy 0.0000 is below 0.9900 (min_accuracy_ratio 0.99 of the original's 1.0000)",
                "same label on 0.0000, below min_agreement 0.98",
            ],
        ),
        (VectorFigures(cosine_mean=0.99, cosine_p5=0.985, cosine_min=0.1), []),
        (
            VectorFigures(cosine_mean=0.9899, cosine_p5=0.9849, cosine_min=0.9),
            [
                "mean cosine 0.9899 is below min_cosine_mean 0.99",
                "5th percentile of the cosine 0.9849 is below min_cosine_p5 0.985",
            ],
        ),
    ],
    ids=["equal", "at the limit", "accuracy", "agreement", "both", "vectors at the limit", "vectors below"],
)  # fmt: skip
def test_what_falls_below_the_gate_is_named_with_its_figures(
    figures: LabelFigures | VectorFigures, failures: list[str]
) -> None:
    assert figures.failures(Gate()) == failures


def test_labels_are_measured_against_the_rows_and_against_the_original() -> None:
    rows = [Row(text="x", label=label) for label in "aabb"]
    original = np.array([[2, 1], [1, 2], [1, 2], [1, 2]], np.float32)  # a b b b
    built = [{"label": label} for label in "aaab"]
    figures = MEASURES[Task.TEXT_CLASSIFICATION](built, original, rows, LABELS)
    assert figures == LabelFigures(accuracy_original=0.75, accuracy_built=0.75, agreement=0.5)


def test_vectors_are_measured_by_their_angle_and_not_by_their_length() -> None:
    rows = [Row(text="x")] * 3
    original = np.array([[1, 0], [0, 3], [1, 1]], np.float32)
    built = [{"embedding": [5.0, 0.0]}, {"embedding": [0.0, 1.0]}, {"embedding": [1.0, 0.0]}]
    figures = MEASURES[Task.FEATURE_EXTRACTION](built, original, rows, ())
    root = 2**-0.5
    assert figures_of(figures) == {
        "cosine_mean": round((2 + root) / 3, 6),
        "cosine_p5": round(root + 0.1 * (1 - root), 6),
        "cosine_min": round(root, 6),
    }


def test_packed_blocks_are_the_matrix_to_half_a_step() -> None:
    matrix = np.random.default_rng(0).normal(size=(3 * BLOCK + 5, 7)).astype(np.float32)
    packed, scales = pack(matrix)
    assert (packed.shape, scales.shape) == ((7, 4, BLOCK), (7, 4))
    back = ((packed.astype(np.float32) - 128) * scales[:, :, None]).reshape(7, -1).T
    assert np.abs(back[: len(matrix)] - matrix).max() <= scales.max() / 2 * 1.001
    assert not back[len(matrix) :].any()


def test_a_product_in_blocks_is_the_product(tmp_path: Path) -> None:
    """The runtime reads what is packed here as it was meant, a last block that is not full included."""
    random = np.random.default_rng(1)
    matrix = random.normal(size=(2 * BLOCK + 16, 24)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "product",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", matrix.shape[0]])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", matrix.shape[1]])],
        [numpy_helper.from_array(matrix, "w")],
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("com.microsoft", 1)]
    onnx.save(
        helper.make_model(graph, opset_imports=opsets, ir_version=10), tmp_path / "plain.onnx"
    )
    in_blocks(tmp_path / "plain.onnx", tmp_path / "blocks.onnx")
    x = random.normal(size=(5, matrix.shape[0])).astype(np.float32)
    (found,) = onnxruntime.InferenceSession(tmp_path / "blocks.onnx").run(None, {"x": x})
    assert [node.op_type for node in onnx.load(tmp_path / "blocks.onnx").graph.node] == [
        "MatMulNBits"
    ]
    error = np.abs(found - x @ matrix).max() / np.abs(x @ matrix).max()
    assert 0 < error < 0.02
