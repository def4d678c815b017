"""`turnout verify`: an artefact has every sealed byte and still answers as it did, or the difference is shown."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from build import api
from build.proof.golden import golden_path, read_golden
from build.proof.replay import compare, replay
from build.proof.sealing import write_manifest
from build.tasks.registry import TASKS
from contracts.manifest import read_manifest
from contracts.tasks import Task
from functions.inference.engine import Engine
from tests.fixtures.models.golden import golden, sealed
from tests.fixtures.models.tiny import Tiny, artefact, seal, vectors
from tests.fixtures.models.tiny_bert import deployment, headed, texts, write_rows
from tests.fixtures.models.tiny_decoders import PROMPTS, gpt2
from tests.fixtures.problems import assert_names
from turnout.cli import app
from turnout.signing.built import NothingToVerify

pytestmark = pytest.mark.build

TEXTS = ("awful", "lovely", "fine plot", "fine fine lovely", "nothing of it")


def changed(folder: Path, number: int, *, inputs: Sequence[str] = (), **built: Any) -> None:
    """Change the inputs of a golden row or the answer that it records from the build, and seal it so."""
    path = golden_path(folder)
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    rows[number]["built"][0].update(built)
    rows[number]["inputs"] = [*inputs] or rows[number]["inputs"]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    sealed(folder)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Two artefacts, as builds leave them beside a cache."""
    folder = tmp_path / "models.out"
    golden(artefact(folder / "tiny/cpu"), *TEXTS)
    golden(artefact(folder / "vectors/gpu", vectors()), "one", "two", "one two")
    (folder / ".cache/tiny/cpu").mkdir(parents=True)
    return folder


def verify(out: Path, *words: str) -> tuple[int, dict[str, Any]]:
    done = CliRunner().invoke(app, ["verify", *words, "--out", str(out), "--json"])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, json.loads(done.stdout)


def printed(out: Path, *words: str) -> str:
    return " ".join(CliRunner().invoke(app, ["verify", *words, "--out", str(out)]).stdout.split())


def test_an_artefact_that_answers_as_when_it_was_built_holds(out: Path) -> None:
    code, document = verify(out)
    assert (code, document["holds"]) == (0, True)
    found = [(a["name"], a["same"], a["rows"], a["apart"]) for a in document["artefacts"]]
    assert found == [("tiny cpu", 5, 5, 0.0), ("vectors gpu", 3, 3, 0.0)]
    assert all(a["ran_on"] and a["ran_with"] == "1.28.0" for a in document["artefacts"])
    assert "tiny cpu" in printed(out)
    assert "5 of 5 rows" in printed(out)


def test_only_the_models_that_are_named_are_verified(out: Path) -> None:
    assert [a["name"] for a in verify(out, "vectors")[1]["artefacts"]] == ["vectors gpu"]


def test_a_row_with_another_label_is_shown_with_both_answers(out: Path) -> None:
    folder = out / "tiny/cpu"
    changed(folder, 1, label="bad")
    code, document = verify(out)
    assert (code, document["holds"]) == (1, False)
    one, other = document["artefacts"]
    assert (one["same"], one["holds"], other["holds"]) == (4, False, True)
    (row,) = one["differing"]
    assert row["request"]["inputs"] == ["lovely"]
    assert (row["built"][0]["label"], row["now"][0]["label"]) == ("bad", "good")
    assert (one["then"]["agreement"], one["now"]["agreement"]) == (0.8, 1.0)
    words = printed(out)
    assert "tiny cpu" in words
    assert "80.00% → 100.00%" in words
    assert "now [{'label': 'good'" in words


@pytest.mark.parametrize(("by", "holds"), [(0.0009, True), (0.002, False)])
def test_a_score_may_be_a_thousandth_away_and_no_more(out: Path, by: float, holds: bool) -> None:
    folder = out / "tiny/cpu"
    score = read_golden(folder)[0].built[0]["score"]
    changed(folder, 0, score=score - by)
    found = replay("tiny cpu", folder)
    assert found.holds is holds
    assert found.apart == pytest.approx(by)


def test_a_vector_that_moved_in_one_place_differs(out: Path) -> None:
    folder = out / "vectors/gpu"
    changed(folder, 2, embedding=[1.0, 2.0, 0.01, 0.0])
    found = replay("vectors gpu", folder)
    assert (found.holds, found.same, found.apart) == (False, 2, 0.01)
    assert found.now
    assert found.then
    assert found.now["nearness"] > found.then["nearness"] > 0.99


def test_on_another_processor_scores_may_move_and_answers_may_not(out: Path) -> None:
    """Rounding differs there: MiniLM's vectors under an emulated Haswell are up to 0.006 from those with AVX-512."""
    far = {"machine": "another processor"}
    folder = out / "tiny/cpu"
    score = read_golden(folder)[0].built[0]["score"]
    write_manifest(folder, read_manifest(folder), provenance=far)
    for number, built, same in ((0, {"score": score - 0.01}, 5), (1, {"label": "bad"}, 4)):
        changed(folder, number, **built)
        assert replay("tiny cpu", folder).same == same
    assert "built on another processor, ONNX Runtime 1.28.0" in printed(out)
    folder = out / "vectors/gpu"
    write_manifest(folder, read_manifest(folder), provenance=far)
    for embedding, same in (([1.0, 2.0, 0.01, 0.0], 3), ([2.0, 1.0, 0.0, 0.0], 2)):
        changed(folder, 2, embedding=embedding)
        assert replay("vectors gpu", folder).same == same


@pytest.mark.parametrize(
    "name",
    ["cpu/model.onnx", "cpu/tokenizer.json", "cpu/manifest.json", "evidence/cpu/golden.jsonl"],
)
def test_a_damaged_file_is_named_and_the_others_are_still_verified(out: Path, name: str) -> None:
    path = out / "tiny" / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    code, document = verify(out)
    damaged, intact = document["artefacts"]
    assert code == 1
    assert name in damaged["broken"]
    assert (damaged["holds"], intact["holds"]) == (False, True)
    assert name in printed(out)


@pytest.mark.parametrize(
    "name", ["cpu/tokenizer.json", "evidence/cpu/golden.jsonl", "evidence/cpu.json"]
)
def test_a_file_that_is_gone_is_named_with_the_next_step(out: Path, name: str) -> None:
    (out / "tiny" / name).unlink()
    code, document = verify(out)
    gone, intact = document["artefacts"]
    assert (code, gone["holds"], intact["holds"]) == (1, False, True)
    assert_names(gone["broken"], (out / "tiny" / name, "missing", "build the model again"))


def test_a_graph_that_cannot_be_loaded_is_reported_without_a_stack_trace(out: Path) -> None:
    folder = out / "tiny/cpu"
    (folder / "model.onnx").write_bytes(b"no graph")
    code, document = verify(sealed(seal(folder, Tiny())).parents[1])
    assert code == 1
    assert_names(document["artefacts"][0]["broken"], ("tiny/cpu ", "InvalidProtobuf"))


def test_a_model_that_now_fails_is_reported_without_a_stack_trace(out: Path) -> None:
    folder = out / "tiny/cpu"
    changed(folder, 0, inputs=["broken"])
    code, document = verify(out)
    assert code == 1
    assert "not finite" in document["artefacts"][0]["broken"]


@pytest.mark.parametrize("words", [(), ("other",)])
def test_a_folder_without_artefacts_is_refused_with_the_next_step(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    folder = tmp_path / "none"
    done = CliRunner().invoke(app, ["verify", *words, "--out", str(folder)])
    assert done.exit_code == 1
    assert isinstance(done.exception, NothingToVerify)
    assert_names(str(done.exception), (f"{folder}: ", "`turnout build`"))


def test_a_model_that_is_not_built_is_named_with_those_that_are(out: Path) -> None:
    done = CliRunner().invoke(app, ["verify", "tiny", "tinny", "--out", str(out)])
    assert isinstance(done.exception, NothingToVerify)
    assert_names(str(done.exception), (f"{out}: tinny ", "tiny, vectors"))


@pytest.mark.parametrize(
    ("task", "one", "other", "same", "apart"),
    [
        (Task.TEXT_CLASSIFICATION, {"label": "a", "score": 0.5}, {"label": "a", "score": 0.25}, True, 0.25),
        (Task.TEXT_CLASSIFICATION, {"label": "a", "score": 0.5}, {"label": "b", "score": 0.5}, False, 0),
        (Task.TEXT_GENERATION, {"along": [1, 2], "ids": [1, 2]}, {"along": [1, 2], "ids": [1, 3]}, False, 0),
        (Task.WORD_VECTORS, {"nearest": ["a"], "vector": [1.0]}, {"nearest": ["a"], "vector": [1.5]}, True, 0.5),
        (Task.WORD_VECTORS, {"nearest": ["a"]}, {"nearest": ["b"]}, False, 0),
        (Task.WORD_VECTORS, {"nearest": ["a"]}, {"nearest": ["a", "b"]}, False, float("inf")),
        (Task.LANGUAGE_MODEL_SCORING, {"a": 1.0}, {"b": 1.0}, False, float("inf")),
    ],
)  # fmt: skip
def test_answers_are_the_same_by_the_metric_or_where_there_is_none_in_all_but_floats(
    task: Task, one: dict[str, Any], other: dict[str, Any], same: bool, apart: float
) -> None:
    assert compare(TASKS[task].comparison, [one], [other]) == (same, apart)


def test_a_build_seals_the_answers_of_its_artefact_beside_those_of_the_reference(
    tmp_path: Path,
) -> None:
    source = headed(tmp_path / "source", "BertForTokenClassification", labels=("O", "B-A", "I-A"))
    rows = write_rows(tmp_path / "rows.jsonl", [{"text": text} for text in texts(40)])
    out = tmp_path / "models.out"
    spec = deployment(source, rows, Task.TOKEN_CLASSIFICATION, gpu=None)
    model = spec.models[0]
    assert model.cpu
    plain = replace(spec, models=(replace(model, cpu=replace(model.cpu, quantize="none")),))
    api.run(api.plan(plain, out), out, timed=False)
    found = read_golden(out / "tiny/cpu")
    assert len(found) == 32
    engine = Engine.load(out / "tiny/cpu")
    for row in found:
        now = list(engine.predict(row.request).outputs)
        same, far = compare(TASKS[Task.TOKEN_CLASSIFICATION].comparison, now, row.built)
        assert same
        assert far < 1e-6
        # Only the engine says whether a text was cut, and how sure it is of all of it.
        assert row.built[0].keys() ^ row.reference[0].keys() == {"truncated", "score"}
    assert verify(out)[0] == 0


def test_a_generator_is_verified_along_the_same_tokens(tmp_path: Path) -> None:
    source = gpt2(tmp_path / "gpt2")
    rows = write_rows(tmp_path / "rows.jsonl", [{"text": text} for text in PROMPTS])
    out = tmp_path / "models.out"
    spec = deployment(source, rows, Task.TEXT_GENERATION, cpu=None)
    api.run(api.plan(spec, out), out, timed=False)
    assert verify(out)[0] == 0
    folder = out / "tiny/gpu"
    row = read_golden(folder)[0]
    ids = [*row.built[0]["ids"]]
    ids[3] += 1
    changed(folder, 0, ids=ids)
    found, kept = replay("tiny gpu", folder), len(read_golden(folder))
    assert (found.broken, found.same, found.rows) == ("", kept - 1, kept)
