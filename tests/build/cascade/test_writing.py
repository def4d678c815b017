"""The cascade of two models that write: calibrated on what they write, and bound to how much they are asked for."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from build.cascade.answers import compare
from build.cascade.calibrating import Asked, calibrate
from build.cascade.errors import CalibrationFailed
from build.cascade.thresholds import chosen, grid_of, outcomes
from build.evaluation.metrics import Outputs
from build.evaluation.rows import Row
from build.workspace.progress import Notify
from contracts.cascade.calibration import FILE, read_calibration
from contracts.manifest import Manifest, read_manifest
from contracts.prediction import PredictRequest
from contracts.tasks import Task
from tests.build.cascade.counters import COUNT, counters, rows, spec, with_pushed
from tests.build.cascade.moods import write
from tests.fixtures.models.writers.counting import SURE, UNSURE, probability, writer


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an artefact of each tier."""
    return counters(tmp_path_factory.mktemp("out"))


def test_texts_that_the_cpu_tier_is_unsure_of_go_to_the_gpu_tier(out: Path, tmp_path: Path) -> None:
    asked = Asked(rows=write(tmp_path / "rows.jsonl", rows()))
    found = calibrate(spec(tmp_path), out, asked)
    assert read_calibration(out / "counter" / FILE) == found
    assert (found.task, found.parameters) == (Task.TEXT_GENERATION, {"max_new_tokens": 1})
    sure, unsure = (probability(logit, COUNT + 1) for logit in (SURE, UNSURE))
    assert found.chosen.threshold == sure > unsure
    assert (found.chosen.lost, found.chosen.accuracy, found.gpu_accuracy) == (0.0, 1.0, 1.0)
    # What is kept is what it is right about.
    assert found.chosen.kept == found.cpu_accuracy == pytest.approx(0.8, abs=0.05)
    assert found.curve[-1].lost == pytest.approx(1 - found.cpu_accuracy)
    assert found.disagreed == 0
    assert (out / "counter/cascade.html").exists()


def test_rows_that_ask_for_more_or_fewer_tokens_are_of_another_kind(
    out: Path, tmp_path: Path
) -> None:
    mixed = [*rows()[:350], *rows(new_tokens=2)[350:]]
    with pytest.raises(CalibrationFailed, match="2 kinds of requests"):
        calibrate(spec(tmp_path), out, Asked(rows=write(tmp_path / "rows.jsonl", mixed)))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"max_new_tokens": 0}, "from 1 up"),
        ({"max_new_tokens": 33}, "at most 32"),
        ({"target": ""}, 'no "target"'),
    ],
)
def test_rows_that_no_model_answers_are_refused(
    out: Path, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    lines = [{**rows()[0], **changes}, *rows()[1:]]
    with pytest.raises(CalibrationFailed, match=message):
        calibrate(spec(tmp_path), out, Asked(rows=write(tmp_path / "rows.jsonl", lines)))


def test_rows_without_targets_are_refused(out: Path, tmp_path: Path) -> None:
    lines = [{"text": row["text"]} for row in rows()]
    with pytest.raises(CalibrationFailed, match="have no target"):
        calibrate(spec(tmp_path), out, Asked(rows=write(tmp_path / "rows.jsonl", lines)))


def test_weights_in_s3_are_asked_where_they_are_deployed(tmp_path: Path) -> None:
    pushed = with_pushed(tmp_path / "out")
    asked = Asked(rows=write(tmp_path / "rows.jsonl", rows()))
    with pytest.raises(CalibrationFailed, match="lie in S3, and this machine cannot run them"):
        calibrate(spec(tmp_path), tmp_path / "out", asked)

    def deployed(manifest: Manifest, of: Sequence[Row], notify: Notify) -> Sequence[Outputs]:
        assert manifest == pushed
        notify("asked")
        # As vLLM answers: with no confidence.
        return [[{"generated_text": row.answer, "finish_reason": "length"}] for row in of]

    said: list[str] = []
    found = calibrate(spec(tmp_path), tmp_path / "out", asked, said.append, deployed)
    assert "the gpu tier: asked" in said
    assert (found.gpu, found.gpu_accuracy) == (pushed.digest, 1.0)
    assert found.chosen.lost == 0.0


def test_a_model_that_samples_by_its_own_settings_has_no_confidence(tmp_path: Path) -> None:
    written: list[Outputs] = [[{"generated_text": "a"}]] * 3
    of = [Row(request=PredictRequest(inputs=(str(i),)), answer="a") for i in range(3)]
    manifest = read_manifest(writer(tmp_path / "cpu"))
    assert compare(manifest, of, written, written) is None


def test_the_bound_holds_for_texts_of_a_known_risk_as_often_as_it_promises(tmp_path: Path) -> None:
    manifest = read_manifest(writer(tmp_path / "cpu"))
    draw, draws, max_loss, assurance = np.random.default_rng(5), 100, 0.03, 0.95

    def drawn(count: int) -> Any:
        """Return the answers of two tiers: the less certain the small one is, the oftener is it alone wrong."""
        certain = np.round(draw.random(count), 6)
        loses = draw.random(count) < 0.2 * (1 - certain) ** 2
        # Where both are wrong, nothing is lost.
        both = ~loses & (draw.random(count) < 0.1)
        of = [Row(request=PredictRequest(inputs=("x",)), answer="Right.") for _ in range(count)]
        cpu = [
            [{"generated_text": "wrong" if lost or wrong else "the right", "confidence": value}]
            for lost, wrong, value in zip(loses, both, certain.tolist(), strict=True)
        ]
        gpu = [[{"generated_text": "wrong" if wrong else " right"}] for wrong in both]
        answers = compare(manifest, of, cpu, gpu)
        assert answers is not None
        return answers

    kept = 0
    for _ in range(draws):
        fit, test = drawn(200), drawn(200)
        tested = outcomes(test.confidences, test.losses, grid_of(fit.confidences), assurance)
        best = chosen(tested, max_loss)
        kept += best is None or 0.2 * (1 - best.threshold) ** 3 / 3 <= max_loss
    # Of so many draws at 95 %, fewer hold in one of a thousand runs by chance.
    assert kept >= draws * assurance - 3.1 * (draws * assurance * (1 - assurance)) ** 0.5


def test_a_calibration_of_texts_is_read_back_as_it_was_sealed(out: Path, tmp_path: Path) -> None:
    found = calibrate(spec(tmp_path), out, Asked(rows=write(tmp_path / "rows.jsonl", rows())))
    changed = json.loads(found.to_json()) | {"max_loss": 0.2}
    (tmp_path / FILE).write_text(json.dumps(changed), "utf-8")
    with pytest.raises(Exception, match="was changed after it was sealed"):
        read_calibration(tmp_path / FILE)
