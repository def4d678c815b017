"""The calibration of one model: both artefacts run on the rows, and the threshold that keeps the bound."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import numpy as np

from build.cascade.answers import Answers, compare
from build.cascade.artefacts import cascade_artefacts
from build.cascade.errors import CalibrationFailed
from build.cascade.reliability import bins_of, calibration_error, isotonic
from build.cascade.rows import calibration_rows, digests_in, halves, seen_rows, too_few
from build.cascade.thresholds import Outcome, chosen, grid_of, outcomes
from build.evaluation.metrics import Outputs
from build.evaluation.rows import Row
from build.proof.native_run import run_on_rows
from build.report.cascade import write_cascade_page
from build.report.page import write_report
from build.tasks.registry import TASKS
from build.workspace.progress import Notify, silent
from build.workspace.publish import write_atomically
from contracts.cascade.calibration import FILE, Calibration, Point
from contracts.cascade.confidence import binding
from contracts.manifest import Manifest, file_sha256
from contracts.problems import Code, Problem
from contracts.specs import ModelSpec
from contracts.tasks import WRITING_TASKS, Tier

DIGITS = 6
# Answers of a deployed tier to rows, in their order.
Deployed = Callable[[Manifest, Sequence[Row], Notify], Sequence[Outputs]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The calibration that a user asks for.

    `training` are files of rows that the models were trained on. With `allow_seen`, rows that these or the gate have
    seen are used all the same, and the bound is marked as not valid.
    """

    rows: Path
    max_loss: float = 0.01
    assurance: float = 0.95
    training: Sequence[Path] = ()
    allow_seen: bool = False


def calibrate(
    spec: ModelSpec,
    out: Path,
    asked: Asked,
    notify: Notify = silent,
    deployed: Deployed | None = None,
) -> Calibration:
    """Return the sealed calibration of a model and write it beside its artefacts; raise CalibrationFailed.

    A tier whose weights were pushed is asked where it is `deployed`; all others run on this machine.
    """
    tiers = cascade_artefacts(spec, out)
    rows, doubts = _rows(spec, asked, tiers[Tier.CPU])
    outputs: dict[Tier, Sequence[Outputs]] = {}
    for tier, manifest in tiers.items():
        said = partial(_of_tier, notify, tier)
        if manifest.pushed:
            outputs[tier] = _deployed(spec, deployed)(manifest, rows, said)
        else:
            outputs[tier] = run_on_rows(out / spec.name / tier, rows, [[{}]] * len(rows), said)
    answers = compare(tiers[Tier.CPU], rows, outputs[Tier.CPU], outputs[Tier.GPU])
    if answers is None:
        why = (
            "it samples by its own settings"
            if spec.task in WRITING_TASKS
            else "its labels do not exclude each other"
        )
        message = f"its answers have no confidence, since {why}"
        raise CalibrationFailed(
            spec.name, [Problem(code=Code.TASK_UNSUPPORTED, message=message, where=spec.name)]
        )
    found = calibration_of(spec.name, tiers, rows, answers, asked, doubts)
    write_atomically(out / spec.name / FILE, found.to_json())
    write_cascade_page(found, out / spec.name)
    # The page of the artefacts links it.
    gate = spec.gate
    reached = gate.min_token_agreement if spec.task in WRITING_TASKS else gate.min_agreement
    write_report(out / spec.name, reached)
    return found


def _deployed(spec: ModelSpec, deployed: Deployed | None) -> Deployed:
    if deployed is not None:
        return deployed
    message = "the weights of its GPU tier lie in S3, and this machine cannot run them; its endpoint has to be asked"
    raise CalibrationFailed(
        spec.name, [Problem(code=Code.ARTEFACT_MISSING, message=message, where=spec.name)]
    )


def _of_tier(notify: Notify, tier: Tier, text: str) -> None:
    notify(f"the {tier} tier: {text}")


def _rows(
    spec: ModelSpec, asked: Asked, manifest: Manifest
) -> tuple[tuple[Row, ...], tuple[str, ...]]:
    """Return the rows, and the doubts that they leave; raise CalibrationFailed with every problem."""
    row_format = TASKS[spec.task].rows
    rows, problems = calibration_rows(asked.rows, row_format, manifest)
    missing = [path for path in asked.training if not path.is_file()]
    problems += [
        Problem(code=Code.FILE_MISSING, where=str(path), message="not found; correct --training")
        for path in missing
    ]
    if problems:
        raise CalibrationFailed(spec.name, problems)
    known = {f"the rows of the gate ({spec.eval})": digests_in(spec.eval, row_format)}
    known |= {f"those of {path}": digests_in(path, row_format) for path in asked.training}
    doubts = seen_rows(rows, known)
    if not asked.allow_seen:
        fix = "take them out, or mark the bound as not valid by --allow-seen"
        problems += [
            Problem(code=Code.ROWS_SEEN, where=str(asked.rows), message=f"{doubt}; {fix}")
            for doubt in doubts
        ]
    problems += too_few(asked.rows, len(rows), asked.max_loss, asked.assurance)
    if problems:
        raise CalibrationFailed(spec.name, problems)
    return rows, tuple(doubts)


def calibration_of(
    model: str,
    tiers: Mapping[Tier, Manifest],
    rows: Sequence[Row],
    answers: Answers,
    asked: Asked,
    doubts: Sequence[str] = (),
) -> Calibration:
    """Return the sealed calibration by answers to rows; raise CalibrationFailed if no threshold keeps the bound."""
    digest = file_sha256(asked.rows)
    fit, test = (answers.at(places) for places in halves(rows, digest))
    tested = outcomes(test.confidences, test.losses, grid_of(fit.confidences), asked.assurance)
    best = chosen(tested, asked.max_loss)
    if best is None:
        first = tested[0]
        message = (
            f"{first.lost} of {first.rows} test rows are lost at the highest threshold, {first.threshold:.4f}, so "
            f"up to {first.bound:.2%} may be: the CPU tier is too sure where it is wrong; raise --max-loss"
        )
        raise CalibrationFailed(
            model, [Problem(code=Code.BOUND_UNPROVEN, where=str(asked.rows), message=message)]
        )
    right = test.cpu_right.astype(np.float64)
    probability = isotonic(fit.confidences, fit.cpu_right.astype(np.float64))
    manifest = tiers[Tier.CPU]
    return Calibration(
        model=model,
        task=manifest.task,
        cpu=manifest.digest,
        gpu=tiers[Tier.GPU].digest,
        max_loss=asked.max_loss,
        assurance=asked.assurance,
        chosen=_point(best, test),
        test_rows=len(test.confidences),
        fit_rows=len(fit.confidences),
        disagreed=int(np.count_nonzero((test.confidences >= best.threshold) & ~test.same)),
        cpu_accuracy=_rounded(test.cpu_right.mean()),
        gpu_accuracy=_rounded(test.gpu_right.mean()),
        calibration_error=_rounded(calibration_error(test.confidences, right)),
        calibration_error_fitted=_rounded(calibration_error(probability(test.confidences), right)),
        reliability=bins_of(test.confidences, right),
        curve=tuple(_point(one, test) for one in tested),
        rows_sha256=digest,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        parameters=binding(manifest.task, rows[0].request.parameters),
        doubts=tuple(doubts),
    ).sealed()


def _point(outcome: Outcome, test: Answers) -> Point:
    kept = test.confidences >= outcome.threshold
    right = np.where(kept, test.cpu_right, test.gpu_right)
    return Point(
        # Not rounded: an answer of exactly this confidence is kept.
        threshold=outcome.threshold,
        kept=_rounded(outcome.kept / outcome.rows),
        lost=_rounded(outcome.lost / outcome.rows),
        bound=_rounded(outcome.bound),
        accuracy=_rounded(right.mean()),
    )


def _rounded(value: float) -> float:
    return round(float(value), DIGITS)
