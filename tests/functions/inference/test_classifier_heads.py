"""Scores that heads make of random logits, for every kind of classifier, against transformers' own pipelines."""

import json
from collections.abc import Sequence
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from build.evaluation.regression import NumberFigures, ScoredNumberFigures
from build.evaluation.rows import Row, read_rows
from build.sources.source import TransformersSource
from build.tasks.description import ModelFacts
from build.tasks.registry import TASKS
from contracts.manifest import Manifest
from contracts.prediction import PredictRequest
from contracts.specs import Gate, SourceOptions
from contracts.tasks import Task, Tier
from functions.inference.tasks import head_of
from functions.inference.tasks.head import Context
from tests.fixtures.models.sources import assert_refused, read_as
from tests.fixtures.models.tiny_bert import headed, write_rows, write_tokenizer
from tests.fixtures.schema_checks import assert_described

pytestmark = pytest.mark.build

CLASSES, ZERO_SHOT = Task.TEXT_CLASSIFICATION, Task.ZERO_SHOT_CLASSIFICATION
NAMES = ("valence", "arousal", "dominance")
MULTI, REGRESSION = "multi_label_classification", "regression"


def manifest_of(task: Task, labels: Sequence[str], config: dict[str, Any]) -> Manifest:
    """Return the manifest of a model with that config.json, its details as the build finds them."""
    facts = ModelFacts(labels=tuple(labels), config=config, tokenizer_config={}, vocabulary={})
    description = TASKS[task].transformers
    assert description.problems(facts) == []
    return Manifest(
        model="m",
        task=task,
        tier=Tier.CPU,
        precision="fp32",
        recipe="r",
        max_tokens=32,
        labels=tuple(labels),
        details=description.details(facts),
        toolchain={},
    )


def ours(manifest: Manifest, logits: Any, **parameters: Any) -> dict[str, Any]:
    # The head of a classifier reads no tokens.
    unread: Any = None
    context = Context(manifest=manifest, parameters=parameters, tokenizer=unread)
    output = head_of(manifest.task).postprocess("x", [], logits.tolist(), context)
    assert_described(manifest.task, [{**output, "tokens": 3, "truncated": False}])
    return output


def pipeline(tmp_path: Path, name: str, labels: Sequence[str], **config: Any) -> Any:
    import transformers

    model = transformers.BertForSequenceClassification(
        transformers.BertConfig(
            vocab_size=40,
            hidden_size=8,
            num_hidden_layers=1,
            num_attention_heads=1,
            intermediate_size=8,
            id2label=dict(enumerate(labels)),
            label2id={label: i for i, label in enumerate(labels)},
            **config,
        )
    )
    return getattr(transformers, name)(model=model, tokenizer=write_tokenizer(tmp_path))


@pytest.mark.parametrize("kind", [None, "single_label_classification", MULTI, REGRESSION])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_every_kind_of_classifier_scores_as_the_pipeline(
    tmp_path: Path, count: int, kind: str | None
) -> None:
    if (count, kind) == (1, "single_label_classification"):
        return  # refused: see below
    import torch

    labels = NAMES[:count]
    theirs = pipeline(tmp_path, "TextClassificationPipeline", labels, problem_type=kind)
    manifest = manifest_of(CLASSES, labels, {"problem_type": kind})
    for logits in np.random.default_rng(count).normal(size=(20, 1, count)).astype(np.float32) * 4:
        found = ours(manifest, logits, top_k=count)
        outputs = {"logits": torch.from_numpy(logits)}
        right = theirs.postprocess(outputs, top_k=None, _legacy=False)
        assert [e["label"] for e in found["top"]] == [e["label"] for e in right]
        assert [e["score"] for e in found["top"]] == pytest.approx([e["score"] for e in right])
        best = theirs.postprocess(outputs)
        assert (found["label"], found["score"]) == (best["label"], pytest.approx(best["score"]))
        # A regression model answers with all of its numbers, whether or not they are asked for.
        listed = kind == REGRESSION and count > 1
        assert ours(manifest, logits).get("top") == (found["top"] if listed else None)


@pytest.mark.parametrize("multi", [False, True])
def test_entailment_and_contradiction_are_found_as_by_the_pipeline(
    tmp_path: Path, multi: bool
) -> None:
    """Models of two labels in either order, of three in any, abbreviated or in capitals."""
    import torch

    three = list(permutations(("CONTRADICTION", "neutral", "Entail")))
    orders = [("entailment", "not_entailment"), ("not_entailment", "entailment"), *three]
    candidates = ["a", "b", "c"]
    for labels in orders:
        theirs = pipeline(tmp_path, "ZeroShotClassificationPipeline", labels)
        config = {"label2id": {label: i for i, label in enumerate(labels)}}
        manifest = manifest_of(ZERO_SHOT, labels, config)
        for size in (1, 3):
            drawn = np.random.default_rng(size).normal(size=(size, len(labels))) * 3
            logits = drawn.astype(np.float32)
            outputs = [
                {"candidate_label": c, "sequence": "x", "logits": torch.from_numpy(row[None])}
                for c, row in zip(candidates, logits, strict=False)
            ]
            right = theirs.postprocess(outputs, multi_label=multi)
            found = ours(manifest, logits, candidate_labels=candidates[:size], multi_label=multi)
            assert [e["label"] for e in found["top"]] == right["labels"]
            assert [e["score"] for e in found["top"]] == pytest.approx(right["scores"])


def test_entailment_is_where_label2id_says_and_where_the_users_names_say() -> None:
    swapped = {"label2id": {"no": 0, "entailment": 1}}
    assert manifest_of(ZERO_SHOT, ("entailment", "no"), swapped).details == {
        "entailment": 1,
        "contradiction": 0,
    }
    unnamed = {"label2id": {"LABEL_0": 0, "LABEL_1": 1}}
    assert manifest_of(ZERO_SHOT, ("entailment", "no"), unnamed).details == {
        "entailment": 0,
        "contradiction": 1,
    }


def test_labels_are_the_configs_or_else_those_of_the_table(tmp_path: Path) -> None:
    plain = headed(tmp_path / "plain", "BertForSequenceClassification")
    given = SourceOptions(labels=("no", "yes"))
    assert read_as(TransformersSource, plain, CLASSES).labels == ("LABEL_0", "LABEL_1")
    assert read_as(TransformersSource, plain, CLASSES, options=given).labels == ("no", "yes")
    three = SourceOptions(labels=("no", "yes", "maybe"))
    assert_refused(
        plain, ("labels_mismatch", "2 outputs", "`labels` names 3"), task=CLASSES, options=three
    )
    named = headed(tmp_path / "named", "BertForSequenceClassification", labels=("bad", "good"))
    contrary = ("labels_mismatch", "bad, good", "no, yes", "remove `labels`")
    assert_refused(named, contrary, task=CLASSES, options=given)
    same = SourceOptions(labels=("bad", "good"))
    assert read_as(TransformersSource, named, CLASSES, options=same).labels == ("bad", "good")
    # A name that is missing or given twice can be mended from the table.
    half = headed(tmp_path / "half", "BertForSequenceClassification", labels=("bad", ""))
    assert_refused(half, ("labels_missing", "no complete `id2label`", "`labels`"), task=CLASSES)
    assert read_as(TransformersSource, half, CLASSES, options=given).labels == ("no", "yes")


def test_outputs_without_names_are_as_many_as_num_labels_says(tmp_path: Path) -> None:
    from transformers import AutoConfig

    folder = headed(tmp_path / "three", "BertForSequenceClassification", labels=("a", "b", "c"))
    config = json.loads((folder / "config.json").read_text("utf-8"))
    unnamed = {k: v for k, v in config.items() if k not in ("id2label", "label2id")}
    (folder / "config.json").write_text(json.dumps({**unnamed, "num_labels": 3}), "utf-8")
    found = read_as(TransformersSource, folder, CLASSES).labels
    assert found == ("LABEL_0", "LABEL_1", "LABEL_2")
    assert found == tuple(AutoConfig.from_pretrained(folder).id2label.values())


def test_labels_for_a_task_without_any_are_refused(tmp_path: Path) -> None:
    folder = headed(tmp_path / "folder", "BertForMaskedLM")
    assert_refused(
        folder,
        ("labels_mismatch", "no, yes", "fill-mask has no labels", "remove it"),
        task=Task.FILL_MASK,
        options=SourceOptions(labels=("no", "yes")),
    )


def test_a_model_of_inference_may_take_its_names_from_the_table(tmp_path: Path) -> None:
    folder = headed(tmp_path / "nli", "BertForSequenceClassification")
    refused = ("labels_mismatch", "begins with entailment", "LABEL_0, LABEL_1", "`labels`")
    assert_refused(folder, refused, task=ZERO_SHOT)
    given = SourceOptions(labels=("entailment", "not_entailment"))
    source = read_as(TransformersSource, folder, ZERO_SHOT, options=given)
    assert source.details == {"entailment": 0, "contradiction": 1}


def test_one_label_that_should_be_one_of_several_is_refused(tmp_path: Path) -> None:
    folder = headed(tmp_path / "one", "BertForSequenceClassification", labels=("relevance",))
    (folder / "config.json").write_text(
        (folder / "config.json")
        .read_text("utf-8")
        .replace("{", '{"problem_type": "single_label_classification",', 1),
        "utf-8",
    )
    assert_refused(
        folder, ("labels_mismatch", "one label", "`problem_type`", "regression"), task=CLASSES
    )


def regressions(**numbers: float) -> list[dict[str, Any]]:
    """Return the output of a regression model with these numbers."""
    top = [{"label": n, "score": v} for n, v in sorted(numbers.items(), key=lambda e: -e[1])]
    return [{**top[0], **({"top": top} if len(top) > 1 else {})}]


@pytest.mark.parametrize(
    ("details", "row", "problem"),
    [
        ({"regression": True}, {"score": 3.5}, ()),
        ({"regression": True}, {"label": "one"}, ("rows_invalid", "numbers", '"score"')),
        ({"regression": True}, {"score": "high"}, ("rows_invalid", '"score" has to be a number')),
        ({"regression": True}, {"scores": {"two": 1}}, ("labels_mismatch", "two", "outputs are one")),
        ({"multi_label": True}, {"labels": []}, ()),
        ({"multi_label": True}, {"label": "one"}, ("rows_invalid", '"labels", a list')),
        ({}, {"label": "one"}, ()),
        ({}, {"labels": ["one"]}, ("rows_invalid", "one label", '"label", a text')),
        ({}, {"score": 1}, ("rows_invalid", "one label", '"label", a text')),
    ],
)  # fmt: skip
def test_right_answers_are_of_the_models_kind(
    tmp_path: Path, details: dict[str, Any], row: dict[str, Any], problem: tuple[str, ...]
) -> None:
    path = write_rows(tmp_path / "rows.jsonl", [{"text": "a", **row}])
    _, problems = read_rows(path, TASKS[CLASSES].rows, ("one",), details)
    code, *texts = problem or ("",)
    assert [found.code for found in problems] == [code] * bool(code)
    assert all(text in problems[0].message for text in texts)


def test_numbers_are_as_near_as_the_references_variance_lets_them_be(tmp_path: Path) -> None:
    reference = [regressions(one=float(x), two=x / 10) for x in range(20)]
    compare = TASKS[CLASSES].comparison_of({"regression": True}).measure
    path = write_rows(
        tmp_path / "rows.jsonl",
        [{"text": "a", "scores": {"two": x / 10, "one": -x}} for x in range(20)],
    )
    rows, problems = read_rows(path, TASKS[CLASSES].rows, ("one", "two"), {"regression": True})
    assert problems == []
    # The second output is off by 0.1, of a variance of 0.3325: the lower of both shares counts.
    built = [regressions(one=float(x), two=x / 10 + 0.1) for x in range(20)]
    found = compare(built, reference, rows)
    assert isinstance(found, ScoredNumberFigures)
    assert found.determination == pytest.approx(1 - 0.01 / 0.3325)
    assert found.determination_low <= found.determination <= found.determination_high
    assert found.farthest == pytest.approx(0.1)
    # One output ranks the rows as they are, the other in reverse.
    assert found.metric_original == pytest.approx(0)
    assert found.metric_built == pytest.approx(0)
    (problem,) = found.problems(Gate())
    assert "R² 0.9699" in problem
    assert "min_agreement 0.98" in problem
    reverse = [regressions(one=float(x), two=-x / 10) for x in range(20)]
    worse = compare(reverse, reference, rows)
    assert worse.problems(Gate(min_agreement=0))[0].startswith("Spearman correlation -1.0000")
    unlabelled, _ = read_rows(
        write_rows(tmp_path / "texts.jsonl", [{"text": "a"}] * 20), TASKS[CLASSES].rows, None
    )
    same = compare(reference, reference, unlabelled)
    assert type(same) is NumberFigures
    assert (same.determination, same.problems(Gate())) == (1, [])


def test_numbers_that_do_not_vary_are_near_by_their_size() -> None:
    compare = TASKS[CLASSES].comparison_of({"regression": True}).measure
    rows = [Row(request=PredictRequest(inputs=("a",)))]
    near = compare([regressions(one=3.03)], [regressions(one=3.0)], rows)
    far = compare([regressions(one=3.3)], [regressions(one=3.0)], rows)
    assert near.similarity == pytest.approx(0.99)
    assert far.similarity == pytest.approx(0)
