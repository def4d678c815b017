"""The probe: a model that answers otherwise than when it was built is told from rounding on another processor."""

import json
from pathlib import Path
from typing import Any

import pytest

from functions.inference.engine import Engine
from functions.inference.probe import PROBE, check_probe, near
from tests.fixtures.models.tiny import Tiny, artefact, probed, seal, vectors
from tests.fixtures.problems import raises


def changed(folder: Path, **outputs: Any) -> Path:
    """Change the sealed answer of the first sample."""
    samples = json.loads((folder / PROBE).read_text("utf-8"))
    samples[0]["outputs"][0].update(outputs)
    (folder / PROBE).write_text(json.dumps(samples), "utf-8")
    return folder


@pytest.mark.parametrize("tiny", [Tiny(), vectors()], ids=["classifier", "encoder"])
def test_an_artefact_answers_its_own_probe_whatever_its_limits(tmp_path: Path, tiny: Tiny) -> None:
    folder = artefact(tmp_path / "cpu", tiny)
    check_probe(Engine.load(folder, max_inputs=1), folder)


@pytest.mark.parametrize(
    "change",
    [{"label": "so-so"}, {"score": 0.1}, {"tokens": 4}, {"truncated": True}, {"more": 1}],
    ids=lambda change: next(iter(change)),
)
def test_another_answer_is_told_with_the_model_the_text_and_the_next_step(
    tmp_path: Path, change: dict[str, Any]
) -> None:
    folder = changed(artefact(tmp_path / "cpu"), **change)
    engine = Engine.load(seal(folder, Tiny()))
    with raises(
        "probe_failed", f"tiny {engine.manifest.version} on cpu", '"awful"', "`turnout verify tiny`"
    ):
        check_probe(engine, folder)


def test_another_model_under_the_same_vocabulary_fails_the_probe(tmp_path: Path) -> None:
    folder = artefact(tmp_path / "cpu", vectors())
    swapped = Tiny(
        task=vectors().task,
        words={"one": [0.0, 1.0, 0.0, 0.0], "two": [2.0, 0.0, 0.0, 0.0]},
        labels=(),
        dimensions=4,
    )
    other = artefact(tmp_path / "other", swapped)
    (folder / "model.onnx").write_bytes((other / "model.onnx").read_bytes())
    with raises("probe_failed", '"one"', "otherwise"):
        check_probe(Engine.load(seal(folder, vectors())), folder)


@pytest.mark.parametrize(
    ("words", "things"),
    [({"broken": "awful"}, "not finite"), ({"lovely": "awful"}, "otherwise")],
    ids=["fails", "answers"],
)
def test_a_model_that_fails_is_told_without_a_stack_trace(
    tmp_path: Path, words: dict[str, str], things: str
) -> None:
    folder = artefact(tmp_path / "cpu")
    ((now, then),) = words.items()
    text = (folder / PROBE).read_text("utf-8").replace(f'"{then}"', f'"{now}"')
    (folder / PROBE).write_text(text, "utf-8")
    with raises("probe_failed", f'"{now}"', things):
        check_probe(Engine.load(seal(folder, Tiny())), folder)


@pytest.mark.parametrize("text", [None, "", "[]", "{}", '[{"inputs": ["fine"]}]'])
def test_an_artefact_without_a_probe_has_to_be_built_again(
    tmp_path: Path, text: str | None
) -> None:
    folder = artefact(tmp_path / "cpu")
    (folder / PROBE).unlink()
    if text is not None:
        (folder / PROBE).write_text(text, "utf-8")
    with raises("artefact_broken", folder / PROBE, "build the model again"):
        check_probe(Engine.load(seal(folder, Tiny())), folder)


def test_a_probe_is_sealed(tmp_path: Path) -> None:
    folder = changed(artefact(tmp_path / "cpu"), score=0.5)
    with raises("artefact_broken", folder / PROBE, "sealed"):
        Engine.load(folder)
    check_probe(Engine.load(probed(seal(folder, Tiny()), Tiny())), folder)


def top(**scores: float) -> dict[str, Any]:
    """Return an output with alternatives, the best first."""
    order = sorted(scores, key=scores.__getitem__, reverse=True)
    alternatives = [{"label": name, "score": scores[name]} for name in order]
    return {**alternatives[0], "top": alternatives, "tokens": 3}


@pytest.mark.parametrize(
    ("now", "sealed", "same"),
    [
        (top(a=0.51, b=0.49), top(a=0.49, b=0.51), True),
        (top(a=0.9, b=0.1), top(a=0.1, b=0.9), False),
        (top(a=0.9, b=0.1), top(a=0.86, b=0.14), True),
        (top(a=0.9, b=0.1), top(a=0.84, b=0.16), False),
        (top(a=0.3, b=0.2), top(a=0.3, c=0.21), True),
        (top(a=0.3, b=0.2), top(a=0.3, c=0.6), False),
        ({"entities": []}, {"entities": [{"label": "B-X", "score": 0.5, "start": 0}]}, True),
        ({"entities": []}, {"entities": [{"label": "B-X", "score": 0.9, "start": 0}]}, False),
        ({"embedding": [1.0, 0.0]}, {"embedding": [5.0, 0.1]}, True),
        ({"embedding": [1.0, 0.0]}, {"embedding": [1.0, 0.5]}, False),
        ({"embedding": [0.0, 0.0]}, {"embedding": [0.0, 0.0]}, True),
        ({"embedding": [0.0, 0.0]}, {"embedding": [1.0, 0.0]}, False),
        ({"embedding": [1.0]}, {"embedding": [1.0, 0.0]}, False),
        ({"score": 0.7, "rank": 1}, {"score": 0.68, "rank": 2}, True),
        ({"log_probability": -100.0}, {"log_probability": -104.0}, True),
        ({"log_probability": -100.0}, {"log_probability": -108.0}, False),
        ({"log_probabilities": [-1.0, -2.0]}, {"log_probabilities": [-1.0]}, False),
        ({"score": float("nan")}, {"score": 0.5}, False),
        ({"score": 1}, {"score": 1.0}, True),
        ({"found": True}, {"found": False}, False),
        ({"a": 1}, {"b": 1}, False),
        ("text", "text", True),
        ("text", ["text"], False),
    ],
)  # fmt: skip
def test_an_answer_is_near_if_rounding_may_have_made_it_of_the_other(
    now: Any, sealed: Any, same: bool
) -> None:
    assert near(now, sealed) is same
