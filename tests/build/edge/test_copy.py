"""The edge copy: one folder that runs by itself, and answers as the artefact that it is of."""

import ast
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tokenizers import Tokenizer
from typer.testing import CliRunner

import build
from build.edge.copy import prove, same
from build.edge.copy import run as run_copy
from build.edge.script import PARTS, SCRIPTS, outdated_reason, write_copy
from build.errors import EdgeDiffers
from build.proof.golden import read_golden
from contracts.manifest import read_manifest
from contracts.specs import Gate
from contracts.tasks import Task
from tests.fixtures.edge_copies import PLAIN, Row, asked, built, run, served, wanted
from tests.fixtures.models.tiny_bert import LABELS, deployment, headed, texts, write_rows
from tests.fixtures.models.tiny_bert import classifier as tiny_classifier
from tests.fixtures.models.tiny_bert import encoder as tiny_encoder
from tests.fixtures.models.tiny_decoders import PROMPTS, gpt2, llama, t5
from tests.fixtures.models.tiny_ngrams import little
from tests.fixtures.models.word_files import TINY, as_text, trained
from turnout.cli import app

TEXTS = texts(12)
LONG = " ".join(TEXTS)
NLI = ("contradiction", "neutral", "entailment")
FILES = ["README.txt", "model.onnx", "run.py", "tokenizer.json"]


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An INT8 classifier with its edge copy."""
    folder = tmp_path_factory.mktemp("classifier")
    source = tiny_classifier(folder / "source")
    rows = [{"text": text} for text in texts(40)]
    built(source, Task.TEXT_CLASSIFICATION, rows, folder / "out", quantize="int8", objective="size")
    return folder / "out"


def test_the_folder_holds_the_sealed_graph_and_what_runs_it_and_nothing_else(
    classifier: Path,
) -> None:
    edge, cpu = classifier / "tiny/edge", classifier / "tiny/cpu"
    assert sorted(os.listdir(edge)) == FILES
    assert (edge / "model.onnx").read_bytes() == (cpu / "model.onnx").read_bytes()
    sealed, copied = (Tokenizer.from_file(str(folder / "tokenizer.json")) for folder in (cpu, edge))
    assert copied.get_vocab() == sealed.get_vocab()
    assert copied.truncation["max_length"] == read_manifest(cpu).max_tokens
    version = read_manifest(cpu).version
    assert version in (edge / "run.py").read_text("utf-8")
    told = (edge / "README.txt").read_text("utf-8")
    assert "pip install onnxruntime==1.28.0 tokenizers==0.22.2 numpy" in told
    assert "Copy this folder" in told


def test_it_runs_wherever_it_is_copied_and_answers_as_the_artefact(
    classifier: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(classifier / "tiny/edge", tmp_path / "elsewhere")
    assert same(served(classifier, *TEXTS, LONG), run(copy, *TEXTS, LONG))
    assert same(served(classifier, *TEXTS[:3]), run(copy, stdin="\n".join(TEXTS[:3]) + "\n"))
    pair = {"text": TEXTS[0], "text_pair": TEXTS[1]}
    assert same(served(classifier, pair), asked(copy, pair))


def test_the_script_imports_nothing_but_what_its_readme_says(classifier: Path) -> None:
    tree = ast.parse((classifier / "tiny/edge/run.py").read_text("utf-8"))
    names = {
        alias.name.split(".")[0] if isinstance(node, ast.Import) else str(node.module)
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    assert names == {"json", "sys", "pathlib", "numpy", "onnxruntime", "tokenizers"}


def test_a_copy_that_is_missing_or_changed_is_made_again_without_another_build(
    classifier: Path, tmp_path: Path
) -> None:
    out = shutil.copytree(classifier, tmp_path / "out")
    source = classifier.parent / "source"
    rows = [{"text": text} for text in texts(40)]
    spec = wanted(source, Task.TEXT_CLASSIFICATION, rows, quantize="int8", objective="size")
    assert [step.why for step in build.plan(spec, out)] == [""]
    edge, version = out / "tiny/edge", read_manifest(out / "tiny/cpu").version
    for change, why in (
        (lambda: shutil.rmtree(edge), "its edge copy is missing"),
        (
            lambda: (edge / "run.py").write_bytes(b"\xff\xfe"),
            "its edge copy is not of this artefact",
        ),
        (lambda: (edge / "model.onnx").write_bytes(b""), "its edge copy is not of this artefact"),
        (lambda: (edge / "README.txt").unlink(), "its edge copy is not of this artefact"),
    ):
        change()
        (step,) = build.plan(spec, out)
        assert (step.why, step.sealed) == (why, True)
        build.run((step,), out)
        assert sorted(os.listdir(edge)) == FILES
        assert [step.why for step in build.plan(spec, out)] == [""]
    assert read_manifest(out / "tiny/cpu").version == version
    model = replace(spec.models[0], edge=False)
    assert [s.why for s in build.plan(replace(spec, models=(model,)), out)] == [""]


def test_a_copy_that_answers_otherwise_is_not_published(classifier: Path, tmp_path: Path) -> None:
    out, manifest = classifier, read_manifest(classifier / "tiny/cpu")
    folder = tmp_path / "copy"
    write_copy(out / "tiny/cpu", manifest, folder)
    prove(folder, out / "tiny/cpu", manifest)
    text = (folder / "run.py").read_text("utf-8")
    (folder / "run.py").write_text(
        text.replace(repr(list(LABELS)), repr(list(LABELS[::-1]))), "utf-8"
    )
    with pytest.raises(
        EdgeDiffers, match=r"answers \d+ of 32 golden rows otherwise than the artefact"
    ):
        prove(folder, out / "tiny/cpu", manifest)
    assert (
        outdated_reason(folder, out / "tiny/cpu", manifest)
        == "its edge copy is not of this artefact"
    )


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
    assert "its edge copy is not of this artefact; build the model again" in done.stdout
    shutil.rmtree(out / "tiny/cpu")
    done = CliRunner().invoke(app, ["verify", "--out", str(out)])
    assert done.exit_code == 1
    assert "holds no readable manifest.json" in done.stdout


def test_a_script_that_fails_says_how_and_leaves_the_older_copy(
    classifier: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(classifier / "tiny/edge", tmp_path / "copy")
    (folder / "tokenizer.json").write_text("{}", "utf-8")
    golden = read_golden(classifier / "tiny/cpu")
    with pytest.raises(
        EdgeDiffers, match=r"run.py of the edge copy ended with 1 after 0 of 32 golden"
    ):
        run_copy(folder, golden)


def test_labels_of_a_text_are_all_that_reach_the_threshold(tmp_path: Path) -> None:
    source = headed(
        tmp_path / "source",
        "BertForSequenceClassification",
        labels=("funny", "sad", "long"),
        problem_type="multi_label_classification",
    )
    rows = [{"text": text} for text in TEXTS]
    edge = built(source, Task.TEXT_CLASSIFICATION, rows, tmp_path / "out")
    assert same(served(tmp_path / "out", *TEXTS), run(edge, *TEXTS))
    given = {"threshold": 0.2}
    assert same(served(tmp_path / "out", *TEXTS, **given), asked(edge, *TEXTS, **given))


def test_entities_of_texts_longer_than_the_model_reads(tmp_path: Path) -> None:
    source = headed(
        tmp_path / "source", "BertForTokenClassification", labels=("O", "B-P", "I-P", "I-L")
    )
    rows = [{"text": text} for text in (*TEXTS, LONG)]
    edge = built(source, Task.TOKEN_CLASSIFICATION, rows, tmp_path / "out")
    assert same(served(tmp_path / "out", *TEXTS, LONG), run(edge, *TEXTS, LONG))


def test_answers_in_contexts_longer_than_the_model_reads(tmp_path: Path) -> None:
    source = headed(tmp_path / "source", "BertForQuestionAnswering")
    rows = [{"question": q, "context": c} for q, c in zip(TEXTS, (*TEXTS[1:], LONG), strict=True)]
    edge = built(source, Task.QUESTION_ANSWERING, rows, tmp_path / "out")
    value = {"question": TEXTS[3], "context": LONG}
    assert same(served(tmp_path / "out", value), asked(edge, value))


def test_texts_are_ranked_for_a_query(tmp_path: Path) -> None:
    source = headed(tmp_path / "source", "BertForSequenceClassification", labels=("relevance",))
    rows = [{"query": TEXTS[0], "texts": TEXTS[1:5]}, {"query": TEXTS[6], "texts": TEXTS[7:9]}]
    edge = built(source, Task.TEXT_RANKING, rows, tmp_path / "out")
    assert same(
        served(tmp_path / "out", *TEXTS, query="great film"),
        asked(edge, *TEXTS, query="great film"),
    )


def test_candidate_labels_are_scored(tmp_path: Path) -> None:
    source = headed(tmp_path / "source", "BertForSequenceClassification", labels=NLI)
    names = ["film", "book", "music"]
    rows = [{"text": t, "candidate_labels": names} for t in TEXTS]
    edge = built(source, Task.ZERO_SHOT_CLASSIFICATION, rows, tmp_path / "out")
    out = tmp_path / "out"
    assert same(
        served(out, TEXTS[1], candidate_labels=names),
        asked(edge, TEXTS[1], candidate_labels=names),
    )
    one: Row = {"candidate_labels": ["film"], "hypothesis_template": "the {} is not plain"}
    assert same(served(out, *TEXTS, **one), asked(edge, *TEXTS, **one))


def test_masks_are_filled_and_one_that_was_cut_off_is_not(tmp_path: Path) -> None:
    source = headed(tmp_path / "source", "BertForMaskedLM")
    masked = [f"[MASK] {text}" for text in TEXTS]
    edge = built(source, Task.FILL_MASK, [{"text": t} for t in masked], tmp_path / "out")
    more = ("[MASK] film [MASK]", "film " * 40 + "[MASK]")
    assert same(served(tmp_path / "out", *masked, *more), run(edge, *masked, *more))


def test_vectors_are_those_of_the_artefact(tmp_path: Path) -> None:
    source = tiny_encoder(tmp_path / "source")
    rows = [{"text": text} for text in TEXTS]
    edge = built(source, Task.FEATURE_EXTRACTION, rows, tmp_path / "out")
    assert same(served(tmp_path / "out", *TEXTS, LONG), run(edge, *TEXTS, LONG))


@pytest.mark.parametrize("make", [gpt2, llama, t5])
def test_models_that_write_do_so_with_a_cache(make: Callable[[Path], Path], tmp_path: Path) -> None:
    task = Task.TEXT2TEXT_GENERATION if make is t5 else Task.TEXT_GENERATION
    out = tmp_path / "out"
    edge = built(make(tmp_path / make.__name__), task, [{"text": t} for t in PROMPTS], out)
    long = " ".join(PROMPTS * 3)
    right = served(out, *PROMPTS, long, max_new_tokens=12)
    assert same(right, asked(edge, *PROMPTS, long, max_new_tokens=12))
    assert len({output["generated_text"] for output in right}) > 3


@pytest.mark.parametrize("make", [gpt2, llama])
def test_texts_are_scored_token_by_token(make: Callable[[Path], Path], tmp_path: Path) -> None:
    source, task = make(tmp_path / make.__name__), Task.LANGUAGE_MODEL_SCORING
    edge = built(source, task, [{"text": text} for text in PROMPTS], tmp_path / "out")
    long = " ".join(PROMPTS * 3)
    for told in (True, False):
        right = served(tmp_path / "out", *PROMPTS, long, per_token=told)
        assert same(right, asked(edge, *PROMPTS, long, per_token=told))
    assert right[-1]["tokens"] > 3 * read_manifest(tmp_path / "out/tiny/cpu").max_tokens / 2


def test_texts_are_scored_by_an_n_gram_model(tmp_path: Path) -> None:
    words = ["b c", "a b c c", "zz b", ""]
    rows = write_rows(tmp_path / "rows.jsonl", [{"text": text} for text in words[:3]])
    source, task = little(tmp_path / "little.arpa"), Task.LANGUAGE_MODEL_SCORING
    spec = deployment(source, rows, task, cpu=PLAIN, gpu=None, edge=True)
    build.run(build.plan(spec, tmp_path / "out"), tmp_path / "out")
    right = served(tmp_path / "out", *words, per_token=True)
    assert same(right, asked(tmp_path / "out/tiny/edge", *words, per_token=True))


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
    build.run(build.plan(spec, out), out)
    words = (
        *known,
        known[0].upper(),
        "never-seen ü",
        {"positive": known[:2], "negative": known[2]},
    )
    for more in ({}, {"nearest": 3}):
        assert same(served(out, *words, **more), asked(out / "tiny/edge", *words, **more))
    assert "tokenizers" not in (out / "tiny/edge/README.txt").read_text("utf-8")


def test_the_script_of_a_classifier_has_twenty_lines(classifier: Path) -> None:
    script = (classifier / "tiny/edge/run.py").read_text("utf-8")
    said = ast.get_docstring(ast.parse(script), clean=False)
    code = [line for line in script.replace(f'"""{said}"""', "").splitlines() if line.strip()]
    assert len(code) == 20


def test_every_task_has_its_script() -> None:
    assert set(SCRIPTS) == set(Task)
    used = {part for parts in SCRIPTS.values() for part in parts}
    assert {path.stem for path in PARTS.glob("*.txt")} == used | {"multi_label"}
