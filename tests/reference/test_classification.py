"""The stages of a pipeline, called one by one, give what one call of it gives; margins come from the logits between."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from reference import classification
from reference.messages import Asked, Message, Run
from tests.fixtures.models.tiny_bert import headed, texts

TEXTS = texts(12)
NLI = ("contradiction", "neutral", "entailment")


def pipeline(task: str, folder: Path, **more: Any) -> Any:
    from transformers import pipeline as make

    return make(task, model=str(folder), tokenizer=str(folder), device="cpu", **more)


def ask(run: Run, value: Any, **parameters: Any) -> Message:
    (answer,) = run({"inputs": [value], "parameters": parameters})
    return answer


def test_labels_have_their_ids_where_the_config_has_none(tmp_path: Path) -> None:
    folder = headed(tmp_path / "model", "BertForSequenceClassification", labels=NLI)
    config = json.loads((folder / "config.json").read_text("utf-8"))
    names = ["plot", "music"]
    right = ask(
        classification.zero_shot(Asked(folder=str(folder))), TEXTS[0], candidate_labels=names
    )
    del config["label2id"]
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    found = ask(
        classification.zero_shot(Asked(folder=str(folder))), TEXTS[0], candidate_labels=names
    )
    assert (found["labels"], found["scores"]) == (right["labels"], right["scores"])


def test_a_label_that_is_a_number_is_answered_as_a_text(tmp_path: Path) -> None:
    folder = headed(tmp_path / "model", "BertForSequenceClassification", labels=NLI)
    config = json.loads((folder / "config.json").read_text("utf-8"))
    named = {**config, "id2label": {"0": 0, "1": 1, "2": 2}, "label2id": {"0": 0, "1": 1, "2": 2}}
    (folder / "config.json").write_text(json.dumps(named), "utf-8")
    answer = ask(classification.text(Asked(folder=str(folder))), TEXTS[0])
    assert {each["label"] for each in answer["scores"]} == {"0", "1", "2"}


@pytest.mark.parametrize(
    ("labels", "problem_type", "kind"),
    [
        (("a", "b", "c"), None, "single_label_classification"),
        (("a", "b", "c"), "multi_label_classification", "multi_label_classification"),
        (("a",), None, "multi_label_classification"),
        (("a",), "regression", "regression"),
        (("a", "b", "c"), "regression", "regression"),
    ],
)
def test_labels_are_scored_as_the_pipeline_scores_them(
    tmp_path: Path, labels: tuple[str, ...], problem_type: str | None, kind: str
) -> None:
    config = {"problem_type": problem_type} if problem_type else {}
    folder = headed(tmp_path / "model", "BertForSequenceClassification", labels=labels, **config)
    run, theirs = (
        classification.text(Asked(folder=str(folder))),
        pipeline("text-classification", folder, top_k=None),
    )
    for text in TEXTS:
        answer = ask(run, text)
        (right,) = theirs([text])
        assert answer["scores"] == right
        assert answer["kind"] == kind
        if kind == "single_label_classification":
            ratio = math.log(right[0]["score"] / right[1]["score"])
            assert answer["margin"] == pytest.approx(ratio, abs=1e-4)
        if kind == "multi_label_classification":
            for each in right:
                odds = abs(math.log(each["score"] / (1 - each["score"])))
                assert answer["margins"][each["label"]] == pytest.approx(odds, abs=1e-3)


def test_entities_are_those_of_the_pipeline_and_every_token_has_a_margin(tmp_path: Path) -> None:
    labels = ("O", "B-PER", "I-PER")
    folder = headed(tmp_path / "model", "BertForTokenClassification", labels=labels)
    run = classification.tokens(Asked(folder=str(folder)))
    theirs = pipeline("token-classification", folder, aggregation_strategy="first", stride=16)
    # The last one is read in several windows.
    for text in (*TEXTS, " ".join(TEXTS)):
        answer = ask(run, text)
        right = [(e["entity_group"], e["start"], e["end"]) for e in theirs(text)]
        assert [(e["label"], e["start"], e["end"]) for e in answer["entities"]] == right
        places = {(start, end) for start, end, _ in answer["margins"]}
        assert len(places) == len(text.split())


def test_masks_are_those_of_the_pipeline(tmp_path: Path) -> None:
    folder = headed(tmp_path / "model", "BertForMaskedLM")
    run, theirs = classification.masks(Asked(folder=str(folder))), pipeline("fill-mask", folder)
    one, two = "a [MASK] film", "a [MASK] film was [MASK]"
    for text, right in ((one, [theirs(one)]), (two, theirs(two))):
        answer = ask(run, text)
        expected = [[(e["token_str"], e["score"]) for e in top] for top in right]
        assert [[(e["token"], e["score"]) for e in top] for top in answer["masks"]] == expected
        for margin, top in zip(answer["margins"], expected, strict=True):
            assert margin == pytest.approx(math.log(top[0][1] / top[1][1]), abs=1e-4)
    # What is cut off is not filled.
    assert ask(run, f"{' '.join(TEXTS)} [MASK]")["masks"] == []


def test_zero_shot_labels_are_those_of_the_pipeline(tmp_path: Path) -> None:
    folder = headed(tmp_path / "model", "BertForSequenceClassification", labels=NLI)
    run = classification.zero_shot(Asked(folder=str(folder)))
    theirs = pipeline("zero-shot-classification", folder)
    for multi in (False, True):
        answer = ask(run, TEXTS[0], candidate_labels=["film", "book"], multi_label=multi)
        right = theirs(TEXTS[0], candidate_labels=["film", "book"], multi_label=multi)
        assert (answer["labels"], answer["scores"]) == (right["labels"], right["scores"])
        ratio = math.log(right["scores"][0] / right["scores"][1])
        assert answer["margin"] == pytest.approx(ratio, abs=1e-4)
