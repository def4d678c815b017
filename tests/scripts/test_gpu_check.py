"""The check of an artefact on a GPU, as far as a processor can run it, and the build that reads its result.

Float16 ships only where a result of a GPU has no problem with the very graph. None could be made here, so a processor's
result is given another device and other times.
"""

import json
from collections import Counter
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from benchmarks.tables import table
from build import api
from build.evaluation.gpu_results import FOLDER, half_problem, read_results
from contracts.manifest import verify
from contracts.prediction import PredictRequest
from contracts.specs import Deployment
from functions.inference.engine import Engine
from scripts.gpu_check.__main__ import check, write
from scripts.gpu_check.larger import Size, larger, measure
from scripts.gpu_check.publishing import tables
from scripts.gpu_check.serving import NoServer, running
from scripts.gpu_check.variants import VARIANTS, AnotherProvider, opened
from tests.fixtures.models.tiny_bert import classifier, deployment, texts, write_rows

pytestmark = pytest.mark.build

# The times of a row in float32 and in float16, in milliseconds.
FASTER, SLOWER = (2.0, 1.0), (2.0, 3.0)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home")
    classifier(folder / "source")
    write_rows(folder / "rows.jsonl", [{"text": text} for text in texts(30)])
    return folder


@pytest.fixture(scope="module")
def model(home: Path) -> Deployment:
    return deployment(home / "source", home / "rows.jsonl", cpu=None)


def built(model: Deployment, out: Path) -> dict[str, Any]:
    """Build what is not current, and return the evidence of the GPU tier."""
    api.run(api.plan(model, out), out)
    evidence: dict[str, Any] = json.loads((out / "tiny/evidence/gpu.json").read_text("utf-8"))
    return evidence


@pytest.fixture(scope="module")
def first(home: Path, model: Deployment) -> dict[str, Any]:
    """The evidence of a build that finds no result."""
    return built(model, home / "out")


@pytest.fixture(scope="module")
def result(home: Path, first: dict[str, Any]) -> dict[str, Any]:
    return check(home / "out/tiny/gpu", "cpu", repeats=2, seconds=0.05, lengths=(16,), callers=(2,))


def test_float32_ships_without_a_result_and_the_report_says_why(
    home: Path, first: dict[str, Any]
) -> None:
    (over,) = first["passed_over"]
    assert (first["recipe"], over["recipe"]) == ("fp32 fused", "fp16 fused")
    assert "no result of a GPU is there" in over["why"]
    assert "`python -m scripts.gpu_check tiny` on a GPU" in over["why"]
    page = (home / "out/tiny/report.html").read_text("utf-8")
    assert "fp32 fused ships rather than fp16 fused: no result of a GPU is there" in page


def test_the_result_has_answers_times_and_memory_of_each_precision(
    home: Path, result: dict[str, Any]
) -> None:
    assert result["digest"] == verify(home / "out/tiny/gpu").digest
    full, half = result["precisions"]["fp32"], result["precisions"]["fp16"]
    # The same graph by the same provider: what differs would be the binding.
    assert (full["largest_difference"], full["problems"]) == (0.0, [])
    assert 0 < half["largest_difference"] < 0.05
    assert full["graph"] != half["graph"]
    assert [(one["tokens"], one["batch"]) for one in half["times"]] == [(16, 1), (16, 8), (16, 32)]
    assert min(one["ms"] for one in half["times"]) > 0
    assert min(full["row_ms"], half["row_ms"], full["memory_mb"]) > 0
    assert {row["run"] for row in full["batching"]} >= {"together", "one by one"}
    # What a processor cannot do is said, and never left out.
    for name in ("tf32", "tensorrt fp32", "tensorrt fp16"):
        assert result["precisions"][name] == {
            "unavailable": "the CPU provider has no such precision"
        }


def test_the_result_has_what_callers_of_the_containers_server_see(result: dict[str, Any]) -> None:
    server = result["server"]
    assert (server["rows"], server["problems"]) == (30, [])
    assert server["ready_s"] > 0
    (row,) = server["callers"]
    assert (row["callers"], row["failed"]) == (2, 0)
    assert min(row["answers a second"], row["p50 ms"], row["p99 ms"]) > 0


def test_tables_have_what_was_measured_and_nothing_else(result: dict[str, Any]) -> None:
    found = tables(result)
    assert [row["precision"] for row in found["gpu_answers"]] == ["fp32", "fp16"]
    assert found["gpu_answers"][0]["same answer as on the processor"] == 1.0
    full, half = result["precisions"]["fp32"]["times"], result["precisions"]["fp16"]["times"]
    assert [(row["tokens"], row["texts"]) for row in found["gpu_times"]] == [
        (16, 1),
        (16, 8),
        (16, 32),
    ]
    assert [row["fp32, ms"] for row in found["gpu_times"]] == [one["ms"] for one in full]
    assert [row["fp16, texts a second"] for row in found["gpu_times"]] == [
        one["texts/s"] for one in half
    ]
    assert found["gpu_batching"] == result["precisions"]["fp32"]["batching"]
    assert found["gpu_serving"] == result["server"]["callers"]
    assert tables({**result, "server": {"unavailable": "why"}})["gpu_serving"] == []
    # A table names the card as well as the processor beside it.
    rows = found["gpu_times"]
    text = table({"name": "n", **result, "gpu": "NVIDIA T4, 580", "rows": rows})
    assert f"NVIDIA T4, 580, beside {result['machine']['cpu']}" in text


def test_other_sizes_have_the_layers_of_the_artefacts_graph(
    home: Path, first: dict[str, Any]
) -> None:
    template = onnx.load(home / "out/tiny/gpu/model.onnx")
    before = Counter(node.op_type for node in template.graph.node)
    size = Size(name="larger", layers=5, hidden=64, heads=4)
    made = larger(template, size, np.random.default_rng(0))
    after = Counter(node.op_type for node in made.graph.node)
    assert after["Attention"] == 5 != before["Attention"]
    layers = Fraction(5, before["Attention"])
    for name in ("SkipLayerNormalization", "BiasGelu"):
        assert after[name] == before[name] * layers > 0
    heads = {a.i for n in made.graph.node for a in n.attribute if a.name == "num_heads"}
    assert heads == {4}
    rows = measure(template, [size], "cpu", repeats=1, lengths=(16,))
    assert [(row["tokens"], row["texts"]) for row in rows] == [(16, 1), (16, 8), (16, 32)]
    assert min(float(row[f"{name}, ms"]) for row in rows for name in ("fp32", "fp16")) > 0


def test_a_server_that_cannot_serve_says_why(home: Path, first: dict[str, Any]) -> None:
    with (
        pytest.raises(NoServer, match="this is a GPU instance, but .* CPUExecutionProvider"),
        running(home / "out/tiny/gpu", "cuda"),
    ):
        pass


def test_a_session_on_another_provider_than_the_one_asked_for_is_no_measurement(
    home: Path, first: dict[str, Any]
) -> None:
    artefact = home / "out/tiny/gpu"
    with pytest.raises(AnotherProvider, match="has no CUDAExecutionProvider"):
        check(artefact, "cuda")
    # ONNX Runtime falls back to the processor, as it does from TensorRT to CUDA. `check` notes it and goes on.
    with (
        pytest.warns(UserWarning, match="not in available provider names"),
        pytest.raises(AnotherProvider, match="first provider is CPUExecutionProvider, not CUDA"),
    ):
        opened(VARIANTS[0], artefact / "model.onnx", artefact, verify(artefact), "cuda", 1)


def on_a_gpu(result: dict[str, Any], times: tuple[float, float], **changes: Any) -> dict[str, Any]:
    """Return the result as one of a GPU with those times; `changes` are those of float16."""
    full, half = result["precisions"]["fp32"], result["precisions"]["fp16"]
    precisions: Mapping[str, Any] = {
        "fp32": {**full, "row_ms": times[0]},
        "fp16": {**half, "row_ms": times[1], **changes},
    }
    return {**result, "device": "cuda", "precisions": precisions}


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda result: result, "ran on cpu, not on a GPU"),
        (lambda result: on_a_gpu(result, SLOWER), "on a GPU it was no faster"),
        (
            lambda result: on_a_gpu(result, FASTER, problems=["agreement 0.9, below 0.98"]),
            "on a GPU says: agreement 0.9, below 0.98",
        ),
        (
            lambda result: {**result, "device": "cuda", "precisions": {}},
            "no result of a GPU is there",
        ),
        (lambda result: on_a_gpu(result, FASTER), ""),
    ],
    ids=["a processor", "slower", "other answers", "another graph", "faster"],
)
def test_float16_does_not_ship_with_a_result_that_does_not_allow_it(
    tmp_path: Path, result: dict[str, Any], make: Any, why: str
) -> None:
    write(make(result), tmp_path)
    results = read_results(tmp_path, "tiny")
    assert len(results) == 1
    found = half_problem(results, "tiny", result["precisions"]["fp32"]["graph"])
    assert why in found
    assert bool(found) == bool(why)


def test_a_file_that_is_no_result_counts_for_nothing(tmp_path: Path) -> None:
    (tmp_path / FOLDER).mkdir()
    for text in ("{", "[]", json.dumps({"model": "tiny", "date": 3})):
        (tmp_path / FOLDER / "tiny-2026-01-01.json").write_text(text, "utf-8")
        assert read_results(tmp_path, "tiny") == ()


def test_float16_ships_with_a_gpus_result_for_its_very_graph(
    home: Path, model: Deployment, result: dict[str, Any]
) -> None:
    write(on_a_gpu(result, FASTER), home / "out")
    evidence = built(model, home / "out")
    manifest = verify(home / "out/tiny/gpu")
    assert (evidence["recipe"], manifest.precision) == ("fp16 fused", "fp16")
    assert evidence["passed_over"] == []
    graph = next(file for file in manifest.files if file.path == "model.onnx")
    assert graph.sha256 == result["precisions"]["fp16"]["graph"]
    request = PredictRequest(inputs=(texts(3)[2],))
    assert Engine.load(home / "out/tiny/gpu").predict(request).outputs[0]["label"]
    # The result of another graph in float16 is none for this one.
    write(on_a_gpu(result, FASTER, graph="0" * 64), home / "out")
    evidence = built(model, home / "out")
    assert evidence["recipe"] == "fp32 fused"
    (over,) = evidence["passed_over"]
    assert over["recipe"] == "fp16 fused"
    assert "the graph that was checked on a GPU is another" in over["why"]
