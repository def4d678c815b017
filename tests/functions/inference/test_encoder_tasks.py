"""Every task of an encoder, from source folder to served answer, against transformers' own pipelines.

The weights are random, so the answers mean nothing; that they are the same is what counts.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from build.families.registry import family_of
from build.plan import plan
from build.proof.sealing import seal
from build.reading.check import check
from build.recipes.encoder import FP32_FUSED
from build.sources.source import TransformersSource
from contracts.http_errors import InvalidInput
from contracts.prediction import PredictRequest, TierAnswer
from contracts.tasks import Task
from functions.inference.engine import Engine
from reference.messages import Asked
from tests.fixtures.models.tiny_bert import deployment, headed, texts, write_rows
from tests.fixtures.problems import assert_problems, raises
from tests.fixtures.schema_checks import predict

pytestmark = pytest.mark.build

TEXTS = texts(12)
TAGS = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")
NLI = ("contradiction", "neutral", "entailment")
LONG = " ".join(TEXTS)
Row = dict[str, Any]


def served(folder: Path, task: Task, rows: Sequence[Row]) -> Engine:
    """Return the fp32 artefact of a source folder, fused, as a build seals it."""
    write_rows(folder / "rows.jsonl", rows)
    out = folder.with_name(f"{folder.name}-out")
    (step, _) = plan(deployment(folder, folder / "rows.jsonl", task), out)
    prepared, parts = folder / "prepared", folder / "parts"
    for made in (prepared, parts):
        made.mkdir()
    family = family_of(step.source)
    family.prepare(step.source, prepared, lambda text: None)
    family.make(FP32_FUSED, step.source, prepared, step.rows, parts)
    reference = family.reference(step.source, step.rows, prepared, lambda text: None)
    seal(folder / "artefact", step, FP32_FUSED, parts, reference.outputs)
    assert isinstance(step.source, TransformersSource)
    found = check(task, folder / "artefact", step.source, step.rows, reference)
    assert (found.rows, found.near_ties) == (len(step.rows), 0)
    return Engine.load(folder / "artefact")


def assert_same(found: Any, right: Any) -> None:
    """Fail unless both are equal, floats to within 1e-4."""
    if isinstance(right, dict):
        assert set(found) == set(right)
        for key in right:
            assert_same(found[key], right[key])
    elif isinstance(right, list | tuple):
        assert len(found) == len(right)
        for one, other in zip(found, right, strict=True):
            assert_same(one, other)
    else:
        assert found == (pytest.approx(right, abs=1e-4) if isinstance(right, float) else right)


def pipeline(task: str, folder: Path, **more: Any) -> Any:
    from transformers import pipeline as make

    return make(task, model=str(folder), tokenizer=str(folder), device="cpu", **more)


@pytest.fixture(scope="module")
def tagger(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Engine]:
    folder = headed(
        tmp_path_factory.mktemp("tagger") / "source", "BertForTokenClassification", labels=TAGS
    )
    return folder, served(folder, Task.TOKEN_CLASSIFICATION, [{"text": t} for t in TEXTS])


@pytest.mark.parametrize("strategy", ["first", "average", "max", "simple"])
def test_entities_are_those_of_the_pipeline(tagger: tuple[Path, Engine], strategy: str) -> None:
    folder, engine = tagger
    theirs = pipeline("token-classification", folder, aggregation_strategy=strategy)
    some = 0
    for text in TEXTS:
        (ours,) = predict(engine, text, aggregation=strategy)
        right = [
            {
                "label": e["entity_group"],
                "score": float(e["score"]),
                "start": e["start"],
                "end": e["end"],
                "text": text[e["start"] : e["end"]],
            }
            for e in theirs(text)
        ]
        assert_same(ours["entities"], right)
        some += len(right)
    assert some > 20


def test_a_long_text_is_tagged_to_its_end_and_nothing_twice(tagger: tuple[Path, Engine]) -> None:
    _, engine = tagger
    (output,) = predict(engine, LONG, aggregation="none")
    assert output["truncated"] is False
    assert output["tokens"] > len(LONG.split())  # windows overlap
    places = [(e["start"], e["end"]) for e in output["entities"]]
    assert places == sorted(set(places))
    assert all(e["text"] == LONG[e["start"] : e["end"]] for e in output["entities"])
    assert places[-1][1] > len(LONG) * 0.9


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Engine]:
    folder = headed(tmp_path_factory.mktemp("reader") / "source", "BertForQuestionAnswering")
    rows = [{"question": q, "context": c} for q, c in zip(TEXTS, TEXTS[1:], strict=False)]
    return folder, served(folder, Task.QUESTION_ANSWERING, rows)


@pytest.mark.parametrize("top_k", [1, 3])
def test_answers_are_those_of_the_pipeline(reader: tuple[Path, Engine], top_k: int) -> None:
    # Imports torch, which runs that only collect these tests do without.
    from reference.question_answering import spans

    folder, engine = reader
    # transformers 5 has no such pipeline; `tests/reference` compares this with that of transformers 4.57.
    theirs = spans(Asked(folder=str(folder)))
    for question, context in zip(TEXTS, (*TEXTS[1:], LONG), strict=True):
        (ours,) = predict(engine, {"question": question, "context": context}, top_k=top_k)
        value = {"question": question, "context": context}
        (right,) = theirs({"inputs": [value], "parameters": {"top_k": top_k}})
        assert_same(ours["top"], right["spans"])


def test_an_answer_may_be_that_there_is_none(reader: tuple[Path, Engine]) -> None:
    _, engine = reader
    value = {"question": TEXTS[0], "context": TEXTS[1]}
    (output,) = predict(engine, value, handle_impossible_answer=True, top_k=20, max_answer_len=2)
    assert "" in [answer["answer"] for answer in output["top"]]
    assert all(len(answer["answer"].split()) <= 2 for answer in output["top"])


def test_a_question_that_leaves_no_room_for_its_context_is_refused(
    reader: tuple[Path, Engine],
) -> None:
    with raises("invalid_input", "cannot be cut"):
        predict(reader[1], {"question": LONG, "context": TEXTS[0]})


@pytest.mark.parametrize("multi", [False, True])
def test_candidate_labels_are_scored_as_by_the_pipeline(tmp_path: Path, multi: bool) -> None:
    folder = headed(tmp_path / "source", "BertForSequenceClassification", labels=NLI)
    names = ["film", "book", "music"]
    rows = [{"text": t, "candidate_labels": names, "label": "book"} for t in TEXTS]
    engine = served(folder, Task.ZERO_SHOT_CLASSIFICATION, rows)
    theirs = pipeline("zero-shot-classification", folder)
    template = "the {} is not plain"
    for text in TEXTS:
        (ours,) = predict(
            engine, text, candidate_labels=names, multi_label=multi, hypothesis_template=template
        )
        right = theirs(text, names, multi_label=multi, hypothesis_template=template)
        assert [e["label"] for e in ours["top"]] == right["labels"]
        assert [e["score"] for e in ours["top"]] == pytest.approx(right["scores"], abs=1e-4)
        assert ours["label"] == right["labels"][0]


def test_masks_are_filled_as_by_the_pipeline(tmp_path: Path) -> None:
    folder = headed(tmp_path / "source", "BertForMaskedLM")
    masked = [f"[MASK] {text}" if i % 2 else f"{text} [MASK]" for i, text in enumerate(TEXTS)]
    engine = served(folder, Task.FILL_MASK, [{"text": text} for text in masked])
    theirs = pipeline("fill-mask", folder)
    for text, ours in zip(masked, predict(engine, *masked, top_k=3), strict=True):
        right = [{"token": e["token_str"], "score": e["score"]} for e in theirs(text, top_k=3)]
        assert_same(ours["masks"][0]["top"], right)
    (two,) = predict(engine, "[MASK] film [MASK]")
    assert len(two["masks"]) == 2
    (cut,) = predict(engine, "film " * 40 + "[MASK]")
    assert (cut["masks"], cut["truncated"]) == ([], True)
    with raises("invalid_input", "/inputs/0: ", "[MASK]"):
        predict(engine, "film")


def test_texts_are_ranked_by_the_sigmoid_of_their_logit(tmp_path: Path) -> None:
    folder = headed(tmp_path / "source", "BertForSequenceClassification", labels=("relevance",))
    rows = [{"query": TEXTS[0], "texts": TEXTS[1:5], "label": 2}]
    engine = served(folder, Task.TEXT_RANKING, rows)
    theirs = pipeline("text-classification", folder)
    ours = predict(engine, *TEXTS, query="great film")
    right = [theirs({"text": "great film", "text_pair": t})["score"] for t in TEXTS]
    assert [o["score"] for o in ours] == pytest.approx(right, abs=1e-4)
    assert [o["rank"] for o in ours] == [1 + sum(s > r for s in right) for r in right]
    with raises("invalid_input", "/parameters/query: "):
        predict(engine, "film")


def test_any_number_of_labels_and_pairs_of_texts(tmp_path: Path) -> None:
    labels = ("funny", "sad", "long")
    folder = headed(
        tmp_path / "source",
        "BertForSequenceClassification",
        labels=labels,
        problem_type="multi_label_classification",
    )
    rows = [{"text": t, "text_pair": "the end", "labels": ["sad"]} for t in TEXTS]
    engine = served(folder, Task.TEXT_CLASSIFICATION, rows)
    theirs = pipeline("text-classification", folder, top_k=None)
    for text in TEXTS:
        pair = {"text": text, "text_pair": "the end"}
        (ours,) = predict(engine, pair, top_k=3, threshold=0.4)
        right = theirs([pair])[0]
        assert_same(ours["top"], right)
        assert_same(ours["labels"], [e for e in right if e["score"] >= 0.4])
    with pytest.raises(InvalidInput) as caught:
        predict(engine, {"text": "film"}, threshold=2)
    assert [m.pointer for m in caught.value.problems] == ["/inputs/0", "/parameters/threshold"]


@pytest.mark.parametrize("names", [("grade",), ("valence", "arousal", "dominance")])
def test_numbers_are_those_of_the_pipeline(tmp_path: Path, names: tuple[str, ...]) -> None:
    folder = headed(
        tmp_path / "source",
        "BertForSequenceClassification",
        labels=names,
        problem_type="regression",
    )
    scores = [{name: len(t) + i for i, name in enumerate(names)} for t in TEXTS]
    rows = [{"text": t, "scores": s} for t, s in zip(TEXTS, scores, strict=True)]
    engine = served(folder, Task.TEXT_CLASSIFICATION, rows)
    theirs = pipeline("text-classification", folder, top_k=None)
    for text in TEXTS:
        (found,) = predict(engine, text)
        right = theirs([text])[0]
        assert_same(found.get("top", [{k: found[k] for k in ("label", "score")}]), right)


def test_a_head_that_does_not_belong_to_the_task_is_refused(tmp_path: Path) -> None:
    from build.sources.readers import inspect

    folder = headed(tmp_path / "source", "BertForSequenceClassification", labels=("a", "b"))
    for task, code, *things in (
        (Task.TEXT_RANKING, "labels_mismatch", "2 labels", "cross-encoder"),
        (Task.ZERO_SHOT_CLASSIFICATION, "labels_mismatch", "entailment", "a, b", "`labels`"),
        (Task.QUESTION_ANSWERING, "task_unsupported", "BertForSequenceClassification"),
    ):
        source, problems = inspect(folder, task, None)
        assert source is None
        assert_problems(problems[:1], (code, folder, *things))


def test_requests_that_run_together_are_answered_as_alone(
    tagger: tuple[Path, Engine], reader: tuple[Path, Engine]
) -> None:
    pairs = [{"question": q, "context": c} for q, c in zip(TEXTS, (LONG, *TEXTS), strict=False)]
    for (_, engine), inputs in ((tagger, [*TEXTS, LONG]), (reader, pairs)):
        requests = [PredictRequest(inputs=tuple(inputs[i : i + 3])) for i in range(0, 9, 3)]
        prepared = [engine.prepare(request) for request in requests]
        together = dict(engine.predict_together(prepared))
        for place, request in enumerate(requests):
            answer = together[place]
            assert isinstance(answer, TierAnswer)
            assert_same(answer.outputs, engine.predict(request).outputs)
