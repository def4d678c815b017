"""The process of the reference: nothing of ours is in it, and what a library cannot answer is told for each row."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from build.errors import BuildError, SourceError
from build.evaluation.rows import Row, request_of
from build.reading.library import SCRIPT, library
from build.sources.source import TransformersSource
from contracts.http_errors import ModelFailed
from contracts.tasks import Task
from tests.fixtures.models.sources import read_as
from tests.fixtures.models.tiny_bert import classifier, encoder, texts

OURS = {"build", "contracts", "functions", "images", "local", "stacks", "tests", "turnout"}
# Runs the script on messages, and prints the packages that it has imported at its end.
PACKAGES = """
import runpy, sys
sys.stdin = sys.argv[2].splitlines()
runpy.run_path(sys.argv[1], run_name="__main__")
print("PACKAGES", *{name.split(".")[0] for name in sys.modules}, file=sys.stderr)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return classifier(tmp_path_factory.mktemp("models") / "classifier")


def test_nothing_of_ours_is_imported(folder: Path, tmp_path: Path) -> None:
    embedder = encoder(tmp_path / "encoder")
    row: dict[str, Any] = {"inputs": ["a film"], "parameters": {}, "target": None}
    messages = [
        {"open": {"task": "text-classification", "folder": str(folder), "max_tokens": None}},
        {"row": row},
        {"open": {"task": "feature-extraction", "folder": str(embedder), "max_tokens": None}},
        {"row": row},
        {"close": True},
    ]
    done = subprocess.run(
        [sys.executable, "-I", "-c", PACKAGES, SCRIPT, "\n".join(map(json.dumps, messages))],
        capture_output=True,
        text=True,
        check=True,
    )
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [next(iter(answer)) for answer in answers] == [
        "libraries",
        "answers",
        "libraries",
        "answers",
        "peak_mb",
    ]
    lines = [line.split() for line in done.stderr.splitlines()]
    (imported,) = [set(words) for words in lines if words[:1] == ["PACKAGES"]]
    assert imported & OURS == set()
    assert {"reference", "transformers", "sentence_transformers", "torch"} <= imported


def ask(source: Any, *inputs: Any, **parameters: Any) -> list[dict[str, Any]]:
    """Return the answers of the library to one row."""
    (found,), _ = library().answers(source, [Row(request=request_of(*inputs, **parameters))])
    return found


def test_a_row_that_the_library_cannot_answer_is_named(folder: Path) -> None:
    source = read_as(TransformersSource, folder, Task.TEXT_CLASSIFICATION)
    rows = [Row(request=request_of(text)) for text in ("a film", {"no": "text"})]
    with pytest.raises(SourceError) as caught:
        library().answers(source, rows)
    (problem,) = caught.value.problems
    assert problem.code == "reference_failed"
    assert 'on row 2, {"no": "text"}' in problem.message
    # The next row is answered all the same.
    assert ask(source, "a film")[0]["tokens"] == 4


def test_texts_are_cut_to_the_smallest_limit_of_the_user_and_of_the_files(folder: Path) -> None:
    text = " ".join(texts(12))
    for asked, tokens in ((None, 32), (9, 9), (1000, 32)):
        source = read_as(TransformersSource, folder, Task.TEXT_CLASSIFICATION)
        assert ask(replace(source, asked_tokens=asked), text)[0]["tokens"] == tokens


def test_what_the_model_was_fed_is_told_if_asked(folder: Path) -> None:
    source = read_as(TransformersSource, folder, Task.TEXT_CLASSIFICATION)
    row = Row(request=request_of({"text": "a film", "text_pair": "a book"}))
    ((answer,),), _ = library().answers(source, [row], trace=True)
    assert [len(each["input_ids"][0]) for each in answer["fed"]] == [7]
    assert answer["fed"][0]["token_type_ids"] == [[0, 0, 0, 0, 1, 1, 1]]


def test_numbers_that_are_not_finite_are_an_error(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file, save_file

    place = classifier(tmp_path / "model")
    weights = load_file(place / "model.safetensors")
    weights["classifier.bias"] = torch.full_like(weights["classifier.bias"], float("nan"))
    save_file(weights, place / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelFailed, match="not finite"):
        ask(read_as(TransformersSource, place, Task.TEXT_CLASSIFICATION), "a film")


def test_a_process_that_ends_is_reported_and_started_again(folder: Path) -> None:
    source = read_as(TransformersSource, folder, Task.TEXT_CLASSIFICATION)
    ended = library()
    # As the kernel does where memory is short.
    ended.process.kill()
    with pytest.raises(BuildError, match="ended with -9"):
        ask(source, "a film")
    assert library() is not ended
    assert ask(source, "a film")[0]["tokens"] == 4


def test_a_process_that_is_stopped_is_asked_no_more(folder: Path) -> None:
    source = read_as(TransformersSource, folder, Task.TEXT_CLASSIFICATION)
    stopped = library()
    stopped.stop()
    assert ask(source, "a film")[0]["tokens"] == 4
    assert library() is not stopped


def test_it_has_neither_credentials_nor_settings_of_this_environment() -> None:
    environment = Path(f"/proc/{library().process.pid}/environ").read_bytes().decode()
    names = {entry.split("=")[0] for entry in environment.split("\0") if entry}
    assert not {name for name in names if "TOKEN" in name and "IMPLICIT" not in name}
    assert not {
        name for name in names if name.startswith(("AWS_ACCESS", "AWS_SECRET", "PYTHONPATH"))
    }
    assert "HF_HUB_OFFLINE=1" in environment
