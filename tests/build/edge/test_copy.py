"""The edge copy: one folder that runs by itself, and answers as the artefact that it is of."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from build import api
from build.edge.contents import outdated_reason, write_copy
from build.edge.copy import prove
from build.edge.copy import run as run_copy
from build.proof.golden import read_golden
from build.proof.sealing import write_manifest
from contracts.manifest import read_manifest, verify
from contracts.specs import Gate
from contracts.tasks import Task
from tests.build.edge.edge_copies import (
    PLAIN,
    Row,
    answered,
    built,
    edge_deployment,
    outputs_of,
    run,
    served,
)
from tests.fixtures.models.tiny_bert import LABELS, deployment, headed, texts, write_rows
from tests.fixtures.models.tiny_bert import classifier as tiny_classifier
from tests.fixtures.models.tiny_bert import encoder as tiny_encoder
from tests.fixtures.models.tiny_decoders import PROMPTS, gpt2, llama, t5
from tests.fixtures.models.tiny_ngrams import little
from tests.fixtures.models.word_files import TINY, as_text, trained
from tests.fixtures.problems import raises
from turnout.cli import app

TEXTS = texts(12)
LONG = " ".join(TEXTS)
NLI = ("contradiction", "neutral", "entailment")
SEALED = ["manifest.json", "model.onnx", "probe.json", "tokenizer.json"]
FILES = sorted(["README.txt", "run.pyz", *SEALED])


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an INT8 classifier with its edge copy."""
    folder = tmp_path_factory.mktemp("classifier")
    source = tiny_classifier(folder / "source")
    rows = [{"text": text} for text in texts(40)]
    built(source, Task.TEXT_CLASSIFICATION, rows, folder / "out", quantize="int8", objective="size")
    return folder / "out"


def test_the_folder_holds_the_sealed_artefact_and_what_runs_it_and_nothing_else(
    classifier: Path,
) -> None:
    edge, cpu = classifier / "tiny/edge", classifier / "tiny/cpu"
    assert sorted(os.listdir(edge)) == FILES
    assert sorted(os.listdir(cpu)) == SEALED
    assert all((edge / name).read_bytes() == (cpu / name).read_bytes() for name in SEALED)
    assert verify(edge) == read_manifest(cpu)


def test_it_runs_wherever_it_is_copied_and_answers_as_the_artefact(
    classifier: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(classifier / "tiny/edge", tmp_path / "elsewhere")
    assert run(copy, *TEXTS, LONG) == [served(classifier, t)[0] for t in (*TEXTS, LONG)]
    lines = "\n".join(TEXTS[:3]) + "\n"
    assert run(copy, stdin=lines) == [served(classifier, text)[0] for text in TEXTS[:3]]
    pair = {"text": TEXTS[0], "text_pair": TEXTS[1]}
    assert outputs_of(copy, pair, top_k=2) == served(classifier, pair, top_k=2)


def test_it_prints_the_complete_answers_of_the_endpoint(classifier: Path) -> None:
    code, (answer,) = answered(classifier / "tiny/edge", TEXTS[0])
    assert (code, set(answer)) == (0, {"outputs", "version", "elapsed_ms"})
    assert answer["version"] == read_manifest(classifier / "tiny/cpu").version


def test_a_copy_that_is_missing_or_changed_is_made_again_without_another_build(
    classifier: Path, tmp_path: Path
) -> None:
    out = shutil.copytree(classifier, tmp_path / "out")
    source = classifier.parent / "source"
    rows = [{"text": text} for text in texts(40)]
    spec = edge_deployment(
        source, Task.TEXT_CLASSIFICATION, rows, quantize="int8", objective="size"
    )
    assert [step.why for step in api.plan(spec, out)] == [""]
    edge, version = out / "tiny/edge", read_manifest(out / "tiny/cpu").version
    for change, why in (
        (lambda: shutil.rmtree(edge), "its edge copy is missing"),
        (lambda: (edge / "run.pyz").write_bytes(b"\xff\xfe"), "its edge copy is not current"),
        (lambda: (edge / "model.onnx").write_bytes(b""), "its edge copy is not current"),
        (lambda: (edge / "README.txt").unlink(), "its edge copy is not current"),
    ):
        change()
        (step,) = api.plan(spec, out)
        assert (step.why, step.sealed) == (why, True)
        api.run((step,), out)
        assert sorted(os.listdir(edge)) == FILES
        assert [step.why for step in api.plan(spec, out)] == [""]
    assert read_manifest(out / "tiny/cpu").version == version
    model = replace(spec.models[0], edge=False)
    assert [s.why for s in api.plan(replace(spec, models=(model,)), out)] == [""]


def test_a_copy_that_answers_otherwise_is_not_published(classifier: Path, tmp_path: Path) -> None:
    artefact, folder = classifier / "tiny/cpu", tmp_path / "copy"
    manifest = read_manifest(artefact)
    write_copy(artefact, manifest, folder)
    assert prove(folder, artefact, manifest) == 32
    write_manifest(folder, manifest, labels=LABELS[::-1])
    with raises("edge_differs", "run.pyz", " of 32 golden rows otherwise"):
        prove(folder, artefact, manifest)
    assert outdated_reason(folder, manifest) == "its edge copy is not current"


def test_a_copy_is_verified_with_the_artefact_it_is_of(classifier: Path, tmp_path: Path) -> None:
    out = shutil.copytree(classifier, tmp_path / "out")
    done = CliRunner().invoke(app, ["verify", "--out", str(out), "--json"])
    cpu, edge = json.loads(done.stdout)["artefacts"]
    assert done.exit_code == 0
    assert (cpu["name"], edge["name"], edge["same"]) == ("tiny cpu", "tiny edge", 32)
    assert edge["version"] == cpu["version"]
    (out / "tiny/edge/model.onnx").write_bytes(b"")
    done = CliRunner().invoke(app, ["verify", "--out", str(out)])
    assert done.exit_code == 1
    assert "edge copy is not current" in done.stdout
    shutil.rmtree(out / "tiny/cpu")
    done = CliRunner().invoke(app, ["verify", "--out", str(out)])
    assert done.exit_code == 1
    assert "manifest.json" in done.stdout


def test_a_copy_with_a_changed_file_names_it_and_is_not_proved(
    classifier: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(classifier / "tiny/edge", tmp_path / "copy")
    (folder / "tokenizer.json").write_text("{}", "utf-8")
    golden = read_golden(classifier / "tiny/cpu")
    with raises("edge_differs", "run.pyz", "after 0 of 32 golden rows", "tokenizer.json"):
        run_copy(folder, golden)


def test_a_copy_without_its_packages_names_the_one_that_is_missing(classifier: Path) -> None:
    completed = subprocess.run(
        [sys.executable, "-I", "-S", classifier / "tiny/edge/run.pyz", "a text"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert completed.returncode == 1
    assert completed.stderr.startswith("No module named ")
    assert "README.txt" in completed.stderr


def test_labels_of_a_text_are_all_that_reach_the_threshold(tmp_path: Path) -> None:
    source = headed(
        tmp_path / "source",
        "BertForSequenceClassification",
        labels=("funny", "sad", "long"),
        problem_type="multi_label_classification",
    )
    rows = [{"text": text} for text in TEXTS]
    edge = built(source, Task.TEXT_CLASSIFICATION, rows, tmp_path / "out")
    assert outputs_of(edge, *TEXTS) == served(tmp_path / "out", *TEXTS)
    given = {"threshold": 0.2}
    assert outputs_of(edge, *TEXTS, **given) == served(tmp_path / "out", *TEXTS, **given)


def test_entities_of_texts_longer_than_the_model_reads(tmp_path: Path) -> None:
    source = headed(
        tmp_path / "source", "BertForTokenClassification", labels=("O", "B-P", "I-P", "I-L")
    )
    rows = [{"text": text} for text in (*TEXTS, LONG)]
    edge = built(source, Task.TOKEN_CLASSIFICATION, rows, tmp_path / "out")
    assert outputs_of(edge, *TEXTS, LONG) == served(tmp_path / "out", *TEXTS, LONG)


def test_answers_in_contexts_longer_than_the_model_reads(tmp_path: Path) -> None:
    source = headed(tmp_path / "source", "BertForQuestionAnswering")
    rows = [{"question": q, "context": c} for q, c in zip(TEXTS, (*TEXTS[1:], LONG), strict=True)]
    edge = built(source, Task.QUESTION_ANSWERING, rows, tmp_path / "out")
    value = {"question": TEXTS[3], "context": LONG}
    assert outputs_of(edge, value) == served(tmp_path / "out", value)


def test_texts_are_ranked_for_a_query(tmp_path: Path) -> None:
    source = headed(tmp_path / "source", "BertForSequenceClassification", labels=("relevance",))
    rows = [{"query": TEXTS[0], "texts": TEXTS[1:5]}, {"query": TEXTS[6], "texts": TEXTS[7:9]}]
    edge = built(source, Task.TEXT_RANKING, rows, tmp_path / "out")
    given = {"query": "great film"}
    assert outputs_of(edge, *TEXTS, **given) == served(tmp_path / "out", *TEXTS, **given)


def test_candidate_labels_are_scored(tmp_path: Path) -> None:
    source = headed(tmp_path / "source", "BertForSequenceClassification", labels=NLI)
    # Of these, the random weights prefer another in each text; of some others they prefer one in all.
    names = ["old", "new", "big", "small"]
    rows = [{"text": t, "candidate_labels": names} for t in TEXTS]
    edge = built(source, Task.ZERO_SHOT_CLASSIFICATION, rows, tmp_path / "out")
    out = tmp_path / "out"
    one: Row = {"candidate_labels": ["film"], "hypothesis_template": "the {} is not plain"}
    for given in ({"candidate_labels": names}, one):
        assert outputs_of(edge, *TEXTS, **given) == served(out, *TEXTS, **given)


def test_masks_are_filled_and_one_that_was_cut_off_is_not(tmp_path: Path) -> None:
    source = headed(tmp_path / "source", "BertForMaskedLM")
    # In front of a text, the random weights fill in the same token always.
    masked = [f"[MASK] {text}" if i % 2 else f"{text} [MASK]" for i, text in enumerate(TEXTS)]
    edge = built(source, Task.FILL_MASK, [{"text": t} for t in masked], tmp_path / "out")
    more = ("[MASK] film [MASK]", "film " * 40 + "[MASK]")
    assert outputs_of(edge, *masked, *more) == served(tmp_path / "out", *masked, *more)


def test_vectors_are_those_of_the_artefact(tmp_path: Path) -> None:
    source = tiny_encoder(tmp_path / "source")
    rows = [{"text": text} for text in TEXTS]
    edge = built(source, Task.FEATURE_EXTRACTION, rows, tmp_path / "out")
    assert outputs_of(edge, *TEXTS, LONG) == served(tmp_path / "out", *TEXTS, LONG)


@pytest.mark.exhaustive(keep=1)
@pytest.mark.parametrize("make", [gpt2, llama, t5])
def test_text_is_generated_with_a_kv_cache(make: Callable[[Path], Path], tmp_path: Path) -> None:
    task = Task.TEXT2TEXT_GENERATION if make is t5 else Task.TEXT_GENERATION
    out = tmp_path / "out"
    edge = built(make(tmp_path / make.__name__), task, [{"text": t} for t in PROMPTS], out)
    long = " ".join(PROMPTS * 3)
    expected = served(out, *PROMPTS, long, max_new_tokens=12)
    assert outputs_of(edge, *PROMPTS, long, max_new_tokens=12) == expected
    assert len({output["generated_text"] for output in expected}) > 3


@pytest.mark.exhaustive(keep=1)
@pytest.mark.parametrize("make", [gpt2, llama])
def test_texts_are_scored_token_by_token(make: Callable[[Path], Path], tmp_path: Path) -> None:
    source, task = make(tmp_path / make.__name__), Task.LANGUAGE_MODEL_SCORING
    edge = built(source, task, [{"text": text} for text in PROMPTS], tmp_path / "out")
    long = " ".join(PROMPTS * 3)
    for per_token in (True, False):
        expected = served(tmp_path / "out", *PROMPTS, long, per_token=per_token)
        assert outputs_of(edge, *PROMPTS, long, per_token=per_token) == expected
    assert expected[-1]["tokens"] > 3 * read_manifest(tmp_path / "out/tiny/cpu").max_tokens / 2


def test_texts_are_scored_by_an_n_gram_model(tmp_path: Path) -> None:
    words = ["b c", "a b c c", "zz b"]
    rows = write_rows(tmp_path / "rows.jsonl", [{"text": text} for text in words])
    source, task = little(tmp_path / "little.arpa"), Task.LANGUAGE_MODEL_SCORING
    spec = deployment(source, rows, task, cpu=PLAIN, gpu=None, edge=True)
    api.run(api.plan(spec, tmp_path / "out"), tmp_path / "out", timed=False)
    expected = served(tmp_path / "out", *words, per_token=True)
    assert outputs_of(tmp_path / "out/tiny/edge", *words, per_token=True) == expected


@pytest.mark.exhaustive(keep=1)
@pytest.mark.parametrize("quantize", ["none", "int8"])
@pytest.mark.parametrize("name", ["lee_fasttext_new.bin", "glove"])
def test_words_are_found_added_and_composed(tmp_path: Path, quantize: str, name: str) -> None:
    source = tmp_path / (name if "." in name else "glove.txt")
    if "." in name:
        shutil.copyfile(trained(name), source)
    else:
        source.write_bytes(as_text(TINY))
    known = ["police", "people", "Australian"] if "." in name else list(TINY)[:3]
    task, out = Task.WORD_VECTORS, tmp_path / "out"
    rows = write_rows(tmp_path / "rows.jsonl", [{"text": word} for word in known])
    cpu = replace(PLAIN, quantize=quantize, objective="size")
    gate = Gate(min_cosine_mean=0.5, min_cosine_p5=0.5)
    spec = deployment(source, rows, task, cpu=cpu, gpu=None, edge=True, gate=gate)
    api.run(api.plan(spec, out), out, timed=False)
    words = (
        *known,
        known[0].upper(),
        "never-seen ü",
        {"positive": known[:2], "negative": known[2]},
    )
    for more in ({}, {"nearest": 3}):
        assert outputs_of(out / "tiny/edge", *words, **more) == served(out, *words, **more)
    assert "tokenizers" not in (out / "tiny/edge/README.txt").read_text("utf-8")
