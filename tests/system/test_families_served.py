"""Every family in as few bits as pass the default gate: as the reference, by the same function, the same each time."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from build.evaluation.rows import read_rows
from build.tasks.registry import TASKS
from contracts.manifest import read_manifest, verify
from contracts.specs import Gate
from contracts.tasks import Task
from functions.inference.engine import Engine
from functions.inference.probe import PROBE, check_probe, read_probe
from tests.fixtures.cpu_function import FORBIDDEN, run
from tests.fixtures.families import SMALL, Builds, build_all_stages
from tests.fixtures.models.tiny_bert import write_rows
from tests.fixtures.models.tiny_decoders import reference_tokens
from tests.fixtures.models.tiny_trained import prefixes, rows_of
from tests.fixtures.problems import raises
from tests.fixtures.transformers_pipelines import THEIRS, ours

# How far a score of 0 to 1 may be from the reference's, in the mean.
SCORES = 0.02
WRITERS = ("gpt2", "llama", "t5")


@pytest.fixture(scope="module")
def builds(tmp_path_factory: pytest.TempPathFactory) -> Builds:
    return Builds(tmp_path_factory.mktemp("builds"))


@pytest.mark.filterwarnings("ignore:__array__ implementation")
@pytest.mark.exhaustive(keep=1)
@pytest.mark.parametrize("task", list(THEIRS))
def test_in_8_bits_texts_that_no_build_has_seen_are_answered_as_by_the_pipeline(
    builds: Builds, task: Task, tmp_path: Path
) -> None:
    built, fresh = builds[task], rows_of(task, 50, seed=3)
    manifest = verify(built.artefact)
    assert manifest.precision == "int8"
    assert manifest.recipe != "int8 tables"  # products as well
    rows, _ = read_rows(write_rows(tmp_path / "fresh.jsonl", fresh), TASKS[task].rows, None)
    engine, theirs = Engine.load(built.artefact), THEIRS[task](built.source)
    right = [theirs(row) for row in fresh]
    found = [ours(task, engine.predict(row.request).outputs) for row in rows]
    same = [a for a, b in zip(found, right, strict=True) if a[0] == b[0]]
    assert len(same) >= Gate().min_agreement * len(fresh)
    assert len({str(answer) for answer, _ in right}) > 1
    apart = [
        abs(one - other)
        for a, b in zip(found, right, strict=True)
        if a[0] == b[0]
        for one, other in zip(a[1], b[1], strict=True)
    ]
    assert sum(apart) / len(apart) < SCORES


@pytest.mark.exhaustive(keep=1)
@pytest.mark.parametrize("name", WRITERS)
def test_with_smaller_weights_a_model_generates_as_transformers_does(
    builds: Builds, name: str
) -> None:
    built = builds[name]
    manifest = verify(built.artefact)
    assert manifest.precision in ("int8", "int4")
    model: Any = Engine.load(built.artefact).model
    places = agreed = 0
    for text, _ in prefixes(12, first=6):
        along = reference_tokens(built.source, text, 12)
        ids, _ = model.teacher_forced(text, along)
        places += len(along)
        agreed += sum(a == b for a, b in zip(ids, along, strict=True))
    assert agreed >= Gate().min_token_agreement * places


TEXT = "a great film"
SPAN = {"question": "a good scene", "context": "very great plot end"}
WRITTEN = {"generated_text", "finish_reason", "generated_tokens", "confidence"}
LABELLED = {"label", "score", "top"}
# The model of each task, a valid request, the keys of its answer, and an invalid one with the place of its problem.
REQUESTS: dict[Task, tuple[str, Any, dict[str, Any], set[str], dict[str, Any], str]] = {
    Task.TEXT_CLASSIFICATION: (
        "text-classification", TEXT, {"top_k": 2}, LABELLED,
        {"inputs": [TEXT, {"text": TEXT}]}, "/inputs/1",
    ),
    Task.TOKEN_CLASSIFICATION: (
        "token-classification", TEXT, {"aggregation": "max"}, {"entities", "score"},
        {"inputs": [TEXT], "parameters": {"aggregation": "mean"}}, "/parameters/aggregation",
    ),
    Task.ZERO_SHOT_CLASSIFICATION: (
        "zero-shot-classification", TEXT, {"candidate_labels": ["dull", "awful"]}, LABELLED,
        {"inputs": [TEXT]}, "/parameters/candidate_labels",
    ),
    Task.TEXT_RANKING: (
        "text-ranking", TEXT, {"query": "a good scene"}, {"score", "rank"},
        {"inputs": [TEXT], "parameters": {"query": 3}}, "/parameters/query",
    ),
    Task.FEATURE_EXTRACTION: (
        "feature-extraction", TEXT, {}, {"embedding"},
        {"inputs": [{"text": TEXT, "text_pair": TEXT}]}, "/inputs/0",
    ),
    Task.FILL_MASK: (
        "fill-mask", "[MASK] film", {"top_k": 2}, {"masks"},
        {"inputs": ["[MASK] film", "a film"]}, "/inputs/1",
    ),
    Task.QUESTION_ANSWERING: (
        "question-answering", SPAN, {"top_k": 2}, {"answer", "start", "end", "score", "top"},
        {"inputs": [{"question": "a good scene"}]}, "/inputs/0",
    ),
    Task.TEXT_GENERATION: (
        "gpt2", "The train", {"max_new_tokens": 4}, WRITTEN,
        {"inputs": ["The"], "parameters": {"max_new_tokens": 0}}, "/parameters/max_new_tokens",
    ),
    Task.TEXT2TEXT_GENERATION: (
        "t5", "The train", {"max_new_tokens": 4}, WRITTEN,
        {"inputs": ["The"], "parameters": {"temperature": -1}}, "/parameters/temperature",
    ),
    Task.LANGUAGE_MODEL_SCORING: (
        "n-grams", "w1 w2", {}, {"log_probability", "perplexity"},
        {"inputs": ["w1"], "parameters": {"per_token": "yes"}}, "/parameters/per_token",
    ),
    Task.WORD_VECTORS: (
        "words", "king", {"nearest": 2}, {"found", "embedding", "nearest"},
        {"inputs": ["king"], "parameters": {"nearest": 0}}, "/parameters/nearest",
    ),
}  # fmt: skip


@pytest.mark.exhaustive(keep=5)
@pytest.mark.parametrize("task", list(Task))
def test_a_task_is_served_by_the_function(builds: Builds, task: Task) -> None:
    name, value, parameters, keys, invalid, place = REQUESTS[task]
    ran = run(
        builds[name].artefact,
        {"inputs": [value, value], "parameters": parameters},
        invalid,
        {"inputs": [value], "parameters": {**parameters, "no_such": 1}},
        {"inputs": [value, ""], "parameters": parameters},
        {"inputs": value, "parameters": parameters},
    )
    good, *bad, last = ran.answers
    first, second = good["outputs"]
    # Their order shows which of two near ones is the better.
    assert {**first, "rank": 0} == {**second, "rank": 0}
    assert set(first) == keys | {"tokens", "truncated"}
    assert last["outputs"] == [first]
    assert good["version"] == last["version"] == read_manifest(builds[name].artefact).version
    for answer, pointer in zip(bad, (place, "/parameters/no_such", "/inputs/1"), strict=True):
        problem = answer["problem"]
        assert (problem["type"], problem["status"]) == ("urn:turnout:problem:invalid-input", 422)
        (error,) = problem["errors"]
        assert error["pointer"] == pointer
        assert f"{pointer}: {error['detail']}" in problem["detail"]
    assert set(ran.modules) & set(FORBIDDEN) == set()


@pytest.mark.exhaustive(keep=2)
@pytest.mark.parametrize("name", list(SMALL))
def test_a_model_answers_its_probe_and_holds_no_row(
    builds: Builds, name: str, tmp_path: Path
) -> None:
    folder = shutil.copytree(builds[name].artefact, tmp_path / name)
    engine = Engine.load(folder, max_inputs=1, threads=2)
    check_probe(engine, folder)
    first, second = read_probe(folder)
    # Each is told from the other, so the check above can fail: a generator's by the tokens, others by the outputs.
    swapped = (
        replace(first, along=second.along)
        if first.along
        else replace(first, outputs=second.outputs)
    )
    (folder / PROBE).write_text(json.dumps([swapped.to_json()]), "utf-8")
    with raises("probe_failed", "`turnout verify tiny`"):
        check_probe(engine, folder)
    texts = [text for row in SMALL[name].rows for text in strings(row) if len(text) > 12]
    held = b"".join(path.read_bytes() for path in sorted(folder.iterdir()))
    assert [text for text in texts if text.encode() in held] == []


def strings(value: Any) -> Iterator[str]:
    """Yield every text in a row."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from strings(part)


@pytest.mark.exhaustive(keep=1)
@pytest.mark.parametrize("name", ["gpt2", "words", "n-grams", "LSTM"])
def test_the_same_inputs_give_the_same_sealed_bytes(
    builds: Builds, name: str, tmp_path: Path
) -> None:
    built = builds[name]
    again = verify(build_all_stages(name, built.source, tmp_path / "again"))
    first = verify(built.artefact)
    assert first.precision in ("int8", "int4")
    assert (again.recipe, again.files) == (first.recipe, first.files)
