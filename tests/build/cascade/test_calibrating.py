"""Both artefacts answer the rows, and what is sealed follows from their answers."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from build.cascade.calibrating import Asked, calibrate
from build.cascade.errors import CalibrationFailed
from contracts.cascade.calibration import FILE, read_calibration
from contracts.manifest import read_manifest
from contracts.specs import CpuSpec, GpuSpec, ModelSpec
from contracts.tasks import Task, Tier
from tests.build.cascade.moods import CPU, GPU, artefacts, rows, write
from tests.fixtures.models.tiny import Tiny, artefact


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an artefact of each tier."""
    return artefacts(tmp_path_factory.mktemp("out"))


def spec(folder: Path, **changes: object) -> ModelSpec:
    gate = write(folder / "eval.jsonl", [{"text": "awful lovely", "label": "bad"}])
    made = ModelSpec(
        name="moods",
        source="unused",
        task=Task.TEXT_CLASSIFICATION,
        eval=gate,
        cpu=CpuSpec(),
        gpu=GpuSpec(instance="ml.g6.xlarge"),
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def codes(error: CalibrationFailed) -> list[str]:
    return [problem.code for problem in error.problems]


def test_what_the_cpu_tier_is_unsure_of_goes_to_the_gpu_tier(out: Path, tmp_path: Path) -> None:
    asked = Asked(rows=write(tmp_path / "rows.jsonl", rows(awful=250, lovely=250, dim=200)))
    found = calibrate(spec(tmp_path), out, asked)
    assert read_calibration(out / "moods" / FILE) == found
    assert found.cpu == read_manifest(out / "moods/cpu").digest
    assert found.gpu == read_manifest(out / "moods/gpu").digest
    # Sure answers are kept and right; all of "dim" is below the threshold.
    assert found.test_rows + found.fit_rows == 700
    assert 0.5 < found.chosen.threshold < 0.9
    assert found.chosen.lost == 0
    assert found.chosen.bound <= 0.01
    assert found.chosen.accuracy == found.gpu_accuracy == 1.0
    assert found.cpu_accuracy == pytest.approx(found.chosen.kept)
    assert found.disagreed == 0
    assert found.curve[-1].kept == 1.0
    assert found.curve[-1].lost == pytest.approx(1 - found.cpu_accuracy)
    assert found.doubts == ()


def test_a_tier_that_is_sure_where_it_is_wrong_proves_no_bound(out: Path, tmp_path: Path) -> None:
    before = (out / "moods" / FILE).exists() and (out / "moods" / FILE).read_bytes()
    asked = Asked(rows=write(tmp_path / "rows.jsonl", rows(awful=300, lovely=300, sly=100)))
    with pytest.raises(CalibrationFailed) as raised:
        calibrate(spec(tmp_path), out, asked)
    assert codes(raised.value) == ["bound_unproven"]
    after = (out / "moods" / FILE).exists() and (out / "moods" / FILE).read_bytes()
    assert before == after


def test_a_looser_bound_takes_a_few_losses(out: Path, tmp_path: Path) -> None:
    asked = Asked(
        rows=write(tmp_path / "rows.jsonl", rows(awful=300, lovely=300, sly=6)), max_loss=0.05
    )
    found = calibrate(spec(tmp_path), out, asked)
    assert 0 < found.chosen.lost <= found.chosen.bound <= 0.05
    assert found.disagreed == round(found.chosen.lost * found.test_rows)


def test_too_few_rows_say_how_many_are_needed(out: Path, tmp_path: Path) -> None:
    # Texts that repeat count once.
    lines = [*rows(awful=200, lovely=396), *rows(awful=200)]
    with pytest.raises(CalibrationFailed, match="299 test rows") as raised:
        calibrate(spec(tmp_path), out, Asked(rows=write(tmp_path / "rows.jsonl", lines)))
    assert codes(raised.value) == ["rows_missing"]
    assert "596 different rows" in str(raised.value)


def test_rows_of_the_gate_and_of_training_are_refused_by_what_they_ask(
    out: Path, tmp_path: Path
) -> None:
    lines = rows(awful=300, lovely=300)
    # Whatever its label, and among lines that are no rows.
    seen = {"text": lines[0]["text"], "label": "so-so"}
    training = write(tmp_path / "train.jsonl", [seen, {"other": 1}])
    path = write(tmp_path / "rows.jsonl", [*lines, {"text": "awful lovely", "label": "bad"}])
    asked = Asked(rows=path, training=(training,))
    with pytest.raises(CalibrationFailed) as raised:
        calibrate(spec(tmp_path), out, asked)
    assert codes(raised.value) == ["rows_seen", "rows_seen"]
    assert "1 of its rows are among the rows of the gate" in str(raised.value)
    found = calibrate(spec(tmp_path), out, replace(asked, allow_seen=True))
    assert len(found.doubts) == 2


@pytest.mark.parametrize(
    ("changes", "lines", "expected"),
    [
        ({"gpu": None}, rows(awful=600), ["setting_missing"]),
        (
            {"gpu": None, "task": Task.FEATURE_EXTRACTION},
            [],
            ["setting_missing", "task_unsupported"],
        ),
        ({"name": "gone"}, rows(awful=600), ["artefact_missing", "artefact_missing"]),
        ({}, [{"text": f"awful {number}"} for number in range(600)], ["rows_invalid"]),
        ({}, [{"text": "awful", "label": "unknown"}], ["labels_mismatch"]),
        ({}, [], ["rows_missing"]),
    ],
    ids=["one tier", "no confidence", "not built", "no labels", "another label", "no rows"],
)
def test_what_cannot_be_calibrated_is_named_with_everything_else(
    out: Path,
    tmp_path: Path,
    changes: Mapping[str, object],
    lines: Sequence[Mapping[str, object]],
    expected: Sequence[str],
) -> None:
    asked = Asked(rows=write(tmp_path / "rows.jsonl", lines), training=())
    with pytest.raises(CalibrationFailed) as raised:
        calibrate(spec(tmp_path, **changes), out, asked)
    assert codes(raised.value) == expected


def test_files_that_are_not_there_are_named(out: Path, tmp_path: Path) -> None:
    asked = Asked(rows=tmp_path / "none.jsonl", training=(tmp_path / "gone.jsonl",))
    with pytest.raises(CalibrationFailed) as raised:
        calibrate(spec(tmp_path), out, asked)
    assert [problem.where.rsplit("/", 1)[-1] for problem in raised.value.problems] == [
        "none.jsonl",
        "gone.jsonl",
    ]


def test_tiers_of_other_labels_are_no_cascade(tmp_path: Path) -> None:
    artefact(tmp_path / "out/moods/cpu", Tiny(model="moods", words=CPU))
    other = Tiny(model="moods", tier=Tier.GPU, words=GPU, labels=("bad", "good", "other"))
    artefact(tmp_path / "out/moods/gpu", other)
    asked = Asked(rows=write(tmp_path / "rows.jsonl", rows(awful=600)))
    with pytest.raises(CalibrationFailed, match="other, so-so") as raised:
        calibrate(spec(tmp_path), tmp_path / "out", asked)
    assert codes(raised.value) == ["labels_mismatch"]


def test_the_same_rows_give_the_same_calibration(out: Path, tmp_path: Path) -> None:
    asked = Asked(rows=write(tmp_path / "rows.jsonl", rows(awful=300, lovely=300, dim=50)))
    first, second = (calibrate(spec(tmp_path), out, asked) for _ in range(2))
    same = replace(second, created=first.created).sealed()
    assert same == first
