"""ONNX graphs that want texts of one length, one at a time, or that answer with probabilities."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer

from build import api
from build.graph.edit import every_node, remove_unused_constants
from build.sources.onnx_graph import finish
from build.sources.probabilities import as_logits, end_of, to_logits
from build.sources.source import GraphSource
from contracts.manifest import verify
from contracts.prediction import PredictRequest
from contracts.specs import CpuSpec, SourceOptions
from contracts.tasks import Task
from functions.inference.engine import Engine
from functions.inference.tasks.head import sigmoid, softmax
from tests.fixtures.models.sources import assert_refused, read_as
from tests.fixtures.models.tiny_bert import LABELS, deployment, texts, write_rows, write_tokenizer

pytestmark = pytest.mark.build

LENGTH, WIDTH, PAD = 12, 16, 3
TEXTS = texts(30)


def mean_of(
    folder: Path,
    *,
    end: str = "Softmax",
    outputs: int = 3,
    batch: int | str = "batch",
    length: int | str = LENGTH,
    kind: int = TensorProto.INT32,
) -> Path:
    """Return a folder with a graph that takes ids alone, so padding is a part of what it takes the mean of."""
    random = np.random.default_rng(11)
    weights = {
        "table": random.normal(size=(40, WIDTH)).astype(np.float32),
        "matrix": random.normal(size=(WIDTH, outputs)).astype(np.float32) * 2,
        "axis": np.array([1], np.int64),
    }
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["rows"]),
        helper.make_node("ReduceMean", ["rows", "axis"], ["mean"], keepdims=0),
        helper.make_node("MatMul", ["mean", "matrix"], ["logits"]),
        helper.make_node(end, ["logits"], ["scores"]),
    ]
    graph = helper.make_graph(
        nodes,
        "mean",
        [helper.make_tensor_value_info("input_ids", kind, [batch, length])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [batch, outputs])],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    folder.mkdir(parents=True)
    opset = [helper.make_opsetid("", 18)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=10), folder / "model.onnx")
    write_tokenizer(folder)
    for name in ("tokenizer_config.json", "special_tokens_map.json"):
        (folder / name).unlink(missing_ok=True)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_padding(pad_id=PAD, pad_token="[SEP]")
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def read(folder: Path, labels: tuple[str, ...] = LABELS, limit: int | None = None) -> GraphSource:
    return read_as(
        GraphSource, folder, Task.TEXT_CLASSIFICATION, limit, SourceOptions(labels=labels)
    )


def run_graph(folder: Path, *, left: bool = False, fill: bool = True) -> Any:
    """Return the graph's own answer to each text, padded to its length by hand."""
    session = ort.InferenceSession(str(folder / "model.onnx"))
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    rows = []
    for text in TEXTS:
        ids = tokenizer.encode(text).ids[: LENGTH if fill else None]
        rest = [PAD] * (LENGTH - len(ids)) if fill else []
        given = np.array([rest + ids if left else ids + rest], np.int32)
        rows.append(session.run(None, {"input_ids": given})[0][0])
    return np.array(rows)


def built(folder: Path, out: Path, labels: tuple[str, ...] = LABELS, **cpu: Any) -> Engine:
    rows = write_rows(out / "rows.jsonl", [{"text": text} for text in TEXTS])
    tier = CpuSpec(objective="accuracy", portable=False, quantize="none", **cpu)
    wanted = deployment(
        folder, rows, cpu=tier, gpu=None, source_options=SourceOptions(labels=labels), edge=True
    )
    api.run(api.plan(wanted, out), out, timed=False)
    verify(out / "tiny/cpu")
    return Engine.load(out / "tiny/cpu")


def answered(engine: Engine) -> Any:
    """Return the score of each label, for all texts in one request."""
    names = engine.manifest.labels
    request = PredictRequest(inputs=tuple(TEXTS), parameters={"top_k": len(names)})
    return np.array(
        [
            [{top["label"]: top["score"] for top in output["top"]}[name] for name in names]
            for output in engine.predict(request).outputs
        ]
    )


@pytest.mark.parametrize("left", [False, True], ids=["right", "left"])
def test_a_graph_of_one_length_is_given_texts_of_that_length(tmp_path: Path, left: bool) -> None:
    folder = mean_of(tmp_path / "mean")
    if left:
        path = folder / "tokenizer.json"
        document = json.loads(path.read_text("utf-8"))
        document["padding"]["direction"] = "Left"
        path.write_text(json.dumps(document), "utf-8")
    source = read(folder)
    assert (source.max_tokens, source.pad_token_id, source.batchable) == (LENGTH, PAD, True)
    engine = built(folder, tmp_path)
    assert engine.manifest.details == {"length": LENGTH, **({"pad_left": True} if left else {})}
    np.testing.assert_allclose(answered(engine), run_graph(folder, left=left), atol=1e-5)
    tokens = [
        output["tokens"] for output in engine.predict(PredictRequest(inputs=("film",))).outputs
    ]
    assert tokens == [3]


def test_a_graph_that_takes_one_text_at_a_time_gets_them_one_by_one(tmp_path: Path) -> None:
    folder = mean_of(tmp_path / "mean", batch=1)
    assert not read(folder).batchable
    engine = built(folder, tmp_path, max_tokens=8)
    assert (engine.manifest.batches, engine.manifest.max_tokens) == (False, 8)
    assert engine.predict(PredictRequest(inputs=(" ".join(TEXTS),))).outputs[0]["truncated"]
    assert len(answered(engine)) == len(TEXTS)


def test_without_a_mask_texts_of_any_length_run_alone(tmp_path: Path) -> None:
    """Beside a longer one a text would be filled up, and the graph would read that as a part of it."""
    folder = mean_of(tmp_path / "mean", length="tokens")
    engine = built(folder, tmp_path, max_tokens=32)
    assert engine.manifest.details == {}
    np.testing.assert_allclose(answered(engine), run_graph(folder, fill=False), atol=1e-5)


def test_probabilities_of_labels_that_do_not_exclude_each_other_stay_what_they_are(
    tmp_path: Path,
) -> None:
    folder = mean_of(tmp_path / "mean", end="Sigmoid")
    engine = built(folder, tmp_path)
    assert engine.manifest.details == {"length": LENGTH, "multi_label": True}
    np.testing.assert_allclose(answered(engine), run_graph(folder), atol=1e-5)


@pytest.mark.parametrize("end", ["Sigmoid", "Identity"])
def test_one_output_for_two_labels_is_the_probability_of_the_second(
    tmp_path: Path, end: str
) -> None:
    folder = mean_of(tmp_path / "mean", end=end, outputs=1)
    found = answered(built(folder, tmp_path, ("no", "yes")))
    right = run_graph(folder)[:, 0]
    if end == "Identity":
        right = 1 / (1 + np.exp(-right))
    np.testing.assert_allclose(found, np.stack([1 - right, right], axis=1), atol=1e-5)


@pytest.mark.parametrize(
    ("shape", "limit", "problem"),
    [
        ({}, 13, ("length_invalid", "reads 12 tokens", "max_tokens is 13", "lower it")),
        ({"batch": 8}, None, ("inputs_unsupported", "8 texts at a time", "export it with")),
    ],
)
def test_a_shape_that_texts_cannot_have_is_refused(
    tmp_path: Path, shape: dict[str, Any], limit: int | None, problem: tuple[str, ...]
) -> None:
    folder = mean_of(tmp_path / "mean", **shape)
    assert_refused(folder, problem, max_tokens=limit, options=SourceOptions(labels=LABELS))


@pytest.mark.parametrize("end", ["softmax", "sigmoid"])
def test_an_activation_that_cannot_be_found_is_inverted(tmp_path: Path, end: str) -> None:
    """As where a converter wrote it in other operators: here it is hidden by a product with 1."""
    folder = mean_of(tmp_path / "mean", end=end.capitalize())
    source = read(folder)
    model = onnx.load(folder / "model.onnx")
    model.graph.initializer.append(numpy_helper.from_array(np.array(1, np.float32), "one"))
    model.graph.node.append(helper.make_node("Mul", ["scores", "one"], ["hidden"]))
    model.graph.output[0].name = "hidden"
    assert (end_of(model.graph), source.removable_activation) == ("", end)
    to_logits(model.graph, source)
    right = run_graph(folder)
    onnx.save(model, folder / "model.onnx")
    inverse = softmax if end == "softmax" else lambda row: [sigmoid(logit) for logit in row]
    found = [inverse(row) for row in run_graph(folder).tolist()]
    np.testing.assert_allclose(found, right, atol=1e-5)
    kept = [inverse(row) for row in as_logits(right, source).tolist()]
    np.testing.assert_allclose(kept, right, atol=1e-5)


def test_probabilities_of_zero_and_one_have_logits_that_are_finite(tmp_path: Path) -> None:
    source = read(mean_of(tmp_path / "mean", end="Sigmoid"))
    logits = as_logits(np.array([[0.0, 1.0, 0.5]], np.float32), source)
    assert np.isfinite(logits).all()
    np.testing.assert_allclose([sigmoid(x) for x in logits[0].tolist()], [0, 1, 0.5], atol=1e-6)


def test_what_only_the_body_of_a_loop_reads_is_kept_and_renamed(tmp_path: Path) -> None:
    """Bodies see the names around them, so inputs and constants are looked for there as well."""
    body = helper.make_graph(
        [
            helper.make_node("Gather", ["table", "x"], ["row"]),
            helper.make_node("Identity", ["go"], ["still"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
        ],
        [
            helper.make_tensor_value_info("still", TensorProto.BOOL, []),
            helper.make_tensor_value_info("row", TensorProto.FLOAT, ["batch", LENGTH, 3]),
        ],
    )
    folder = mean_of(tmp_path / "mean")
    model = onnx.load(folder / "model.onnx")
    graph = model.graph
    table = np.arange(120, dtype=np.float32).reshape(40, 3)
    del graph.node[:]
    del graph.initializer[:]
    graph.input[0].name = "x"
    for name, array in {"table": table, "count": np.array(2, np.int64)}.items():
        graph.initializer.append(numpy_helper.from_array(array, name))
    graph.initializer.append(numpy_helper.from_array(np.array([0, 2], np.int64), "axes"))
    graph.node.extend(
        [
            helper.make_node("Loop", ["count", ""], ["rows"], body=body),
            helper.make_node("ReduceSum", ["rows", "axes"], ["scores"], keepdims=0),
        ]
    )
    shutil.rmtree(folder)
    source = read(mean_of(folder, end="Identity"))
    finish(model, source)
    remove_unused_constants(graph)
    assert {node.op_type for node in every_node(graph)} >= {"Loop", "Gather", "Cast"}
    onnx.save(model, tmp_path / "loop.onnx")
    ids = np.arange(LENGTH, dtype=np.int64)[None]
    (found,) = ort.InferenceSession(str(tmp_path / "loop.onnx")).run(None, {"input_ids": ids})
    np.testing.assert_allclose(found, 2 * table[:LENGTH].sum(axis=0)[None])
