"""The gate's arithmetic, and the blocks that weights are packed in."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from build.evaluation.agreement import AnswerFigures
from build.evaluation.bootstrap import wilson
from build.evaluation.comparison import figures_of
from build.evaluation.rows import Row
from build.evaluation.vectors.embedding_similarity import VectorFigures
from build.graph.edit import matmuls
from build.recipes.block_int8 import BLOCK, pack, quantize_block_wise
from build.tasks.registry import TASKS
from contracts.prediction import PredictRequest
from contracts.specs import Gate
from contracts.tasks import Task

TWO = frozenset({(0, 3, "PER"), (5, 8, "LOC")})
ROW = Row(request=PredictRequest(inputs=("x",)))


def answers(reference: float, built: float, agreement: float) -> AnswerFigures:
    return AnswerFigures(
        metric="accuracy",
        reference="labels",
        metric_original=reference,
        metric_built=built,
        difference_low=0,
        difference_high=0,
        agreement=agreement,
        agreement_low=0,
        agreement_high=1,
    )


def vectors(mean: float, p5: float) -> VectorFigures:
    return VectorFigures(
        cosine_mean=mean, cosine_low=0, cosine_high=1, cosine_p5=p5, cosine_min=0.1
    )


def rows(*right: Any) -> list[Row]:
    return [Row(request=ROW.request, answer=answer) for answer in right]


def labels(names: str) -> list[list[dict[str, Any]]]:
    return [[{"label": name}] for name in names]


@pytest.mark.parametrize(
    ("figures", "failures"),
    [
        (answers(0.9, 0.9, 1), []),
        (answers(0.9, 0.891, 0.98), []),
        (
            answers(0.9, 0.89, 0.99),
            ["accuracy 0.8900 is below 0.8910 (min_accuracy_ratio 0.99 of the reference's 0.9000)"],
        ),
        (answers(0.5, 0.6, 0.9799), ["same answer on 0.9799, below min_agreement 0.98"]),
        (
            answers(1, 0, 0),
            [
                "accuracy 0.0000 is below 0.9900 (min_accuracy_ratio 0.99 of the reference's 1.0000)",
                "same answer on 0.0000, below min_agreement 0.98",
            ],
        ),
        (vectors(0.99, 0.985), []),
        (
            vectors(0.9899, 0.9849),
            [
                "mean cosine 0.9899 is below min_cosine_mean 0.99",
                "5th percentile of the cosine 0.9849 is below min_cosine_p5 0.985",
            ],
        ),
    ],
    ids=["equal", "at the limit", "accuracy", "agreement", "both", "vectors at the limit", "vectors below"],
)  # fmt: skip
def test_what_falls_below_the_gate_is_named_with_its_figures(
    figures: AnswerFigures | VectorFigures, failures: list[str]
) -> None:
    assert figures.problems(Gate()) == failures


def test_labels_are_measured_against_the_rows_and_against_the_reference() -> None:
    found = TASKS[Task.TEXT_CLASSIFICATION].comparison.measure(
        labels("aaab"), labels("abbb"), rows(*"aabb")
    )
    assert isinstance(found, AnswerFigures)
    assert (found.metric, found.reference) == ("accuracy", "labels")
    assert (found.metric_original, found.metric_built, found.agreement) == (0.75, 0.75, 0.5)
    assert (found.difference_low, found.difference_high) == (-0.75, 0.75)


def test_without_labels_answers_are_compared_with_the_reference() -> None:
    found = TASKS[Task.TEXT_CLASSIFICATION].comparison.measure(
        labels("aaab"), labels("aabb"), rows(*[None] * 4)
    )
    assert isinstance(found, AnswerFigures)
    assert found.reference == "original"
    assert (found.metric_original, found.metric_built, found.agreement) == (1, 0.75, 0.75)


def test_an_interval_covers_a_real_difference_and_not_much_more() -> None:
    """1,000 rows, 100 of them lost: by the normal approximation 0.1 +- 1.96 * sqrt(0.1 * 0.9 / 1000)."""
    right = ["a"] * 1000
    built = labels("b" * 100 + "a" * 900)
    found = TASKS[Task.TEXT_CLASSIFICATION].comparison.measure(
        built, labels("a" * 1000), rows(*right)
    )
    assert isinstance(found, AnswerFigures)
    assert found.difference_low == pytest.approx(-0.1186, abs=0.003)
    assert found.difference_high == pytest.approx(-0.0814, abs=0.003)


@pytest.mark.parametrize(
    ("hits", "total", "interval"),
    [(398, 398, (0.9904, 1.0)), (391, 398, (0.9641, 0.9915)), (0, 10, (0.0, 0.2775))],
)
def test_the_interval_of_a_share_stays_within_0_and_1(
    hits: int, total: int, interval: tuple[float, float]
) -> None:
    assert wilson(hits, total) == pytest.approx(interval, abs=1e-4)


@pytest.mark.parametrize(
    ("task", "output", "right", "value"),
    [
        (Task.TEXT_CLASSIFICATION, [{"label": "a", "labels": [{"label": "a"}]}], frozenset("ab"), 2 / 3),
        (Task.TOKEN_CLASSIFICATION, [{"entities": [{"start": 0, "end": 3, "label": "PER"}]}], TWO, 2 / 3),
        (Task.TOKEN_CLASSIFICATION, [{"entities": []}], frozenset(), 1.0),
        (Task.TEXT_RANKING, [{"score": 2}, {"score": 3}, {"score": 1}], 2, 1 / 3),
        (Task.FILL_MASK, [{"masks": [{"token": "book"}]}], "book", 1.0),
        (Task.QUESTION_ANSWERING, [{"answer": "The white house"}], ("a House", "castle"), 2 / 3),
        (Task.ZERO_SHOT_CLASSIFICATION, [{"label": "a"}], "b", 0.0),
    ],
    ids=["labels", "entities", "nothing to find", "ranks", "mask", "words", "zero-shot"],
)  # fmt: skip
def test_each_task_has_its_own_metric(task: Task, output: Any, right: Any, value: float) -> None:
    found = TASKS[task].comparison.measure([output], [output], rows(right))
    assert isinstance(found, AnswerFigures)
    assert found.metric_built == pytest.approx(value)
    assert found.agreement == 1


def test_vectors_are_measured_by_their_angle_and_not_by_their_length() -> None:
    reference = [[{"embedding": v}] for v in ([1.0, 0.0], [0.0, 3.0], [1.0, 1.0])]
    built = [[{"embedding": v}] for v in ([5.0, 0.0], [0.0, 1.0], [1.0, 0.0])]
    root = 2**-0.5
    assert figures_of(
        TASKS[Task.FEATURE_EXTRACTION].comparison.measure(built, reference, [ROW] * 3)
    ) == {
        "cosine_mean": round((2 + root) / 3, 6),
        "cosine_low": round(root, 6),
        "cosine_high": 1,
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
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    quantize_block_wise(model.graph, matmuls(model.graph))
    onnx.save(model, tmp_path / "blocks.onnx")
    x = random.normal(size=(5, matrix.shape[0])).astype(np.float32)
    (found,) = onnxruntime.InferenceSession(tmp_path / "blocks.onnx").run(None, {"x": x})
    assert [node.op_type for node in onnx.load(tmp_path / "blocks.onnx").graph.node] == [
        "MatMulNBits"
    ]
    error = np.abs(found - x @ matrix).max() / np.abs(x @ matrix).max()
    assert 0 < error < 0.02
