"""Bare graphs as sources: ONNX and TorchScript: intact, damaged and hostile."""

import io
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from rich.console import Console

from build import api
from build.export.fusion import plain
from build.export.to_onnx import export
from build.proof.processors import Processor
from build.sources.formats import ONNX, TORCHSCRIPT
from build.sources.readers import inspect
from build.sources.source import GraphSource, Pooling, TransformersSource
from build.workspace.quiet import quiet
from contracts.manifest import verify
from contracts.prediction import PredictRequest
from contracts.specs import SourceOptions
from contracts.tasks import Task
from functions.inference.engine import Engine
from tests.fixtures.models.sources import assert_refused, in_one_file, read_as
from tests.fixtures.models.tiny_bert import (
    CPU,
    LABELS,
    classifier,
    deployment,
    encoder,
    texts,
    write_rows,
)
from tests.fixtures.problems import assert_problems
from tests.fixtures.transformers_pipelines import answers
from turnout.building import evidence, show

pytestmark = pytest.mark.build

HERE = Processor(name="here", how="as it is")
UNCHECKED = (
    "not checked on other processors, where its sums may saturate: apt-get install qemu-user"
)
TEXTS = texts(24)
CLASSES = Task.TEXT_CLASSIFICATION
REQUESTS = [PredictRequest(inputs=(text,)) for text in TEXTS]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a Hugging Face classifier, the same as ONNX with its files beside it, and as TorchScript."""
    import torch
    from transformers import AutoModelForSequenceClassification

    folder = tmp_path_factory.mktemp("home")
    export(read_as(TransformersSource, classifier(folder / "hf"), CLASSES), folder / "exported")
    (folder / "onnx").mkdir()
    in_one_file(folder / "exported/model.onnx", folder / "onnx/model.onnx")
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        shutil.copy(folder / "hf" / name, folder / "onnx" / name)
    model = AutoModelForSequenceClassification.from_pretrained(
        folder / "hf", return_dict=False, attn_implementation="eager"
    ).eval()
    example = torch.ones((2, 8), dtype=torch.int64)
    with quiet(), torch.no_grad():
        torch.jit.trace(model, (example, example, example), check_trace=False).save(
            folder / "bert.pt"
        )
    write_rows(folder / "rows.jsonl", [{"text": text} for text in TEXTS])
    return folder


def read(
    path: Path, task: Task = CLASSES, max_tokens: int | None = None, **options: Any
) -> GraphSource:
    return read_as(GraphSource, path, task, max_tokens, SourceOptions(**options))


def outputs(source: GraphSource, folder: Path) -> list[dict[str, Any]]:
    """Return the source's own answers."""
    graph = plain(source, export(source, folder / "again"), folder / "plain.onnx")
    return [found[0] for found in answers(source, REQUESTS, graph)]


def assert_same(found: list[dict[str, Any]], right: list[dict[str, Any]]) -> None:
    assert [o["label"] for o in found] == [o["label"] for o in right]
    np.testing.assert_allclose([o["score"] for o in found], [o["score"] for o in right], atol=1e-5)


def test_an_onnx_folder_answers_as_the_model_it_was_made_from(home: Path, tmp_path: Path) -> None:
    source = read(home / "onnx")
    assert (source.kind, source.labels, source.max_tokens, source.heads) == (ONNX, LABELS, 32, 4)
    right = [
        found[0] for found in answers(read_as(TransformersSource, home / "hf", CLASSES), REQUESTS)
    ]
    assert_same(outputs(source, tmp_path), right)


def test_a_torchscript_file_answers_as_the_model_it_was_made_from(
    home: Path, tmp_path: Path
) -> None:
    source = read(
        home / "bert.pt", max_tokens=32, tokenizer=home / "hf/tokenizer.json", labels=LABELS
    )
    assert (source.kind, source.inputs) == (
        TORCHSCRIPT,
        ("input_ids", "attention_mask", "token_type_ids"),
    )
    right = [
        found[0] for found in answers(read_as(TransformersSource, home / "hf", CLASSES), REQUESTS)
    ]
    assert_same(outputs(source, tmp_path), right)
    graph = plain(source, export(source, tmp_path / "twice"), tmp_path / "graph.onnx")
    assert [node.name for node in onnx.load(graph).graph.input] == list(source.inputs)


@pytest.mark.exhaustive(keep=1)
@pytest.mark.parametrize("name", ["onnx", "bert.pt"])
def test_a_bare_graph_is_built_proven_and_served(home: Path, tmp_path: Path, name: str) -> None:
    options = SourceOptions(tokenizer=home / "hf/tokenizer.json", labels=LABELS)
    cpu = CPU if name == "onnx" else type(CPU)(objective="size", portable=False, max_tokens=32)
    wanted = deployment(home / name, home / "rows.jsonl", cpu=cpu, gpu=None, source_options=options)
    api.run(api.plan(wanted, tmp_path), tmp_path, timed=False)
    manifest = verify(tmp_path / "tiny/cpu")
    assert manifest.precision == "int8"
    assert manifest.provenance["kind"] in (ONNX, TORCHSCRIPT)
    assert manifest.provenance["gate"]["reference"] == "original"
    engine = Engine.load(tmp_path / "tiny/cpu")
    assert {o["label"] for o in (engine.predict(r).outputs[0] for r in REQUESTS)} <= set(LABELS)


def test_what_is_quantized_already_ships_as_it_was(home: Path, tmp_path: Path) -> None:
    from onnxruntime.quantization import quantize_dynamic

    folder = shutil.copytree(home / "onnx", tmp_path / "quantized")
    quantize_dynamic(home / "onnx/model.onnx", folder / "model.onnx", reduce_range=True)
    source = read(folder)
    assert source.quantized
    wanted = deployment(folder, home / "rows.jsonl", cpu=CPU, gpu=None)
    out = tmp_path / "out"
    path, came = out / "tiny/evidence/cpu.json", {"skipped": False, "edge": False}
    api.run(api.plan(wanted, out), out, timed=False)
    seen = verify(out / "tiny/cpu").provenance["processors"]
    assert seen[0]["verdict"] == "measured here"
    assert {(p["verdict"], p["how"]) for p in seen[1:]} == {
        ("not checked", "not asked: `portable` is false")
    }
    assert evidence(path, **came)["notes"] == []
    tried = deployment(folder, home / "rows.jsonl", cpu=type(CPU)(objective="size"), gpu=None)
    api.run(api.plan(tried, out), out, processors=(HERE,), timed=False)
    manifest = verify(out / "tiny/cpu")
    assert (manifest.recipe, manifest.precision, manifest.batches) == ("as it was", "int8", False)
    seen = [(p["how"], p["verdict"]) for p in manifest.provenance["processors"]]
    assert seen == [("this machine", "measured here"), ("as it is", "holds")]
    assert evidence(path, **came)["notes"] == []
    shutil.rmtree(out / "tiny")
    missing = replace(HERE, unavailable="apt-get install qemu-user")
    api.run(api.plan(tried, out), out, processors=(missing,), timed=False)
    assert verify(out / "tiny/cpu").provenance["processors"][1]["verdict"] == "not checked"
    document = evidence(path, **came)
    assert document["notes"] == [UNCHECKED]
    assert UNCHECKED in (out / "tiny/report.html").read_text("utf-8")
    printed = io.StringIO()
    show([document], Console(file=printed, width=200))
    assert f"tiny cpu: {UNCHECKED}\n" in printed.getvalue()


def test_sentence_vectors_of_an_onnx_folder_are_pooled_as_its_modules_say(tmp_path: Path) -> None:
    source = read_as(TransformersSource, encoder(tmp_path / "hf"), Task.FEATURE_EXTRACTION)
    export(source, tmp_path / "exported")
    folder = shutil.copytree(tmp_path / "hf", tmp_path / "onnx")
    (folder / "model.safetensors").unlink()
    in_one_file(tmp_path / "exported/model.onnx", folder / "model.onnx")
    found = read(folder, Task.FEATURE_EXTRACTION)
    assert (found.kind, found.pooling) == (ONNX, Pooling(modes="mean", normalize=True))
    graph = plain(found, export(found, tmp_path / "again"), tmp_path / "plain.onnx")
    one, other = (
        np.array([o[0]["embedding"] for o in answers(s, REQUESTS, graph)]) for s in (found, source)
    )
    np.testing.assert_allclose(one, other, atol=1e-5)


def test_inputs_may_have_other_names_and_narrower_types(home: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(home / "onnx", tmp_path / "renamed")
    model = onnx.load(folder / "model.onnx")
    for number, node in enumerate(list(model.graph.input)):
        for other in model.graph.node:
            other.input[:] = [f"wide_{number}" if n == node.name else n for n in other.input]
        node.name, node.type.tensor_type.elem_type = f"x{number}", TensorProto.INT32
        cast = helper.make_node("Cast", [node.name], [f"wide_{number}"], to=TensorProto.INT64)
        model.graph.node.insert(0, cast)
    onnx.save(model, folder / "model.onnx")
    assert_refused(folder, ("inputs_unsupported", "x0, x1, x2", "in this order, as `inputs`"))
    names = ("input_ids", "attention_mask", "token_type_ids")
    order = [node.name for node in onnx.load(home / "onnx/model.onnx").graph.input]
    assert sorted(order) == sorted(names)
    source = read(folder, inputs=tuple(order))
    assert_same(outputs(source, tmp_path), outputs(read(home / "onnx"), home))


def test_a_script_with_turned_bytes_is_refused(home: Path, tmp_path: Path) -> None:
    data = bytearray((home / "bert.pt").read_bytes())
    at = data.rfind(b"PK\x01\x02")
    data[at : at + 4] = b"XXXX"
    (tmp_path / "bert.pt").write_bytes(data)
    assert_refused(tmp_path / "bert.pt", ("file_damaged", "a TorchScript file (BadZipFile: "))


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("model.onnx", b"", ("file_damaged", "model.onnx is empty", "copy it again")),
        ("model.onnx", b"\x00\x01 no graph", ("file_damaged", "model.onnx is not an ONNX file")),
        ("model.pt", b"PK not really", ("tokenizer_missing", "a bare graph has no tokenizer")),
        ("model.gguf", b"GGUF", ("task_unsupported", "text-classification", "GGUF")),
        ("model.keras", b"PK", ("format_unknown", "a Keras file", "`model.export(folder)`")),
        ("model.h5", b"\x89HDF", ("format_unknown", "a Keras file", "`model.export(folder)`")),
        ("frozen.pb", b"\n", ("format_unknown", "a TensorFlow graph alone", "SavedModel folder")),
        ("model.bin", b"\x80\x04", ("format_unknown", "a pickle", "safetensors")),
        ("model.zip", b"PK", ("format_unknown", "looked for a Hugging Face")),
    ],
)
def test_a_file_that_cannot_be_built_is_named_by_its_format(
    tmp_path: Path, name: str, content: bytes, problem: tuple[str, ...]
) -> None:
    (tmp_path / "tokenizer.json").write_text("{}", "utf-8")
    (tmp_path / name).write_bytes(content)
    source, (found, *_) = inspect(tmp_path / name, CLASSES, None)
    code, *texts = problem
    assert source is None
    assert_problems([found], (code, tmp_path / name, *texts))


def test_a_cut_onnx_file_is_found(home: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(home / "onnx", tmp_path / "cut")
    content = (folder / "model.onnx").read_bytes()
    (folder / "model.onnx").write_bytes(content[: len(content) // 2])
    assert_refused(folder, ("file_damaged", "model.onnx", "cut short"))


def test_all_that_a_bare_graph_needs_is_reported_at_once(home: Path) -> None:
    assert_refused(
        home / "bert.pt",
        ("tokenizer_missing", "name a tokenizer.json as `tokenizer`"),
        ("labels_missing", "give `labels`, in the order of its outputs"),
        ("length_missing", "give max_tokens in its tier's table"),
    )


def test_a_folder_of_two_kinds_is_refused(home: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(home / "hf", tmp_path / "both")
    shutil.copy(home / "onnx/model.onnx", folder / "model.onnx")
    both = "model.onnx and model.safetensors"
    assert_refused(folder, ("format_ambiguous", both, "name the .onnx file as `source`"))
    assert read(folder / "model.onnx").kind == ONNX
    (tmp_path / "two").mkdir()
    for name in ("a.onnx", "b.onnx"):
        shutil.copy(home / "onnx/model.onnx", tmp_path / "two" / name)
    assert_refused(tmp_path / "two", ("format_ambiguous", "a.onnx, b.onnx", "as `source`"))


def test_labels_of_an_onnx_graph_may_stand_in_models_toml(home: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(home / "onnx", tmp_path / "bare")
    (folder / "config.json").write_text(json.dumps({"max_position_embeddings": 32}), "utf-8")
    assert_refused(folder, ("labels_missing", "config.json with `id2label`", "give `labels`"))
    assert read(folder, labels=("x", "y", "z")).labels == ("x", "y", "z")
