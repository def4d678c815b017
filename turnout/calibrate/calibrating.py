"""The calibration of a model's cascade, and its figures as a user reads them."""

import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from build.cascade.calibrating import Asked, calibrate
from build.cascade.errors import CalibrationFailed
from build.evaluation.metrics import Outputs
from build.evaluation.rows import Row
from build.report.page import CASCADE_PAGE
from build.workspace.progress import Notify
from contracts.cascade.calibration import FILE
from contracts.manifest import Manifest
from contracts.problems import Code, Problem
from contracts.specs import Deployment, ModelSpec
from turnout.verify.endpoint import Ask, Wanted, asked_endpoint

__all__ = ["Asked", "calibrated", "show"]
# Points of the curve that are shown.
SHOWN = 12


def calibrated(
    deployment: Deployment,
    model: str,
    out: Path,
    asked: Asked,
    log: Console,
    find: Callable[[], Ask] | None = None,
    concurrency: int = 1,
) -> dict[str, Any]:
    """Return the calibration of a model as a document, which is written as well; raise CalibrationFailed.

    `find` finds what asks the deployed endpoint, of so many rows at once, where this machine cannot run a tier.
    """
    specs = {spec.name: spec for spec in deployment.models}
    if model not in specs:
        message = f"no model named {model} in the file; it has {', '.join(specs)}"
        raise CalibrationFailed(model, [Problem(code=Code.MODEL_UNKNOWN, message=message)])
    deployed = partial(_deployed, specs[model], find, concurrency) if find else None
    with log.status(f"{model}: running the rows") as status:
        found = calibrate(
            specs[model], out, asked, lambda text: status.update(f"{model}: {text}"), deployed
        )
    document: dict[str, Any] = json.loads(found.to_json())
    return {**document, "file": str(out / model / FILE), "page": str(out / model / CASCADE_PAGE)}


def _deployed(
    spec: ModelSpec,
    find: Callable[[], Ask],
    concurrency: int,
    manifest: Manifest,
    rows: Sequence[Row],
    notify: Notify,
) -> Sequence[Outputs]:
    """Return the endpoint's answers to the rows; raise CalibrationFailed if it refuses one."""
    of = Wanted(spec=spec, manifest=manifest, rows=rows, at_least=0.0, concurrency=concurrency)
    answers, refused = asked_endpoint(of, find(), notify)
    if refused:
        problems = [Problem(code=Code.ROWS_INVALID, message=line) for line in refused]
        raise CalibrationFailed(spec.name, problems)
    return [answer for answer in answers if answer is not None]


def show(found: dict[str, Any], console: Console) -> None:
    """Print the chosen threshold in a sentence, the curve, and the doubts."""

    def say(text: str) -> None:
        console.print(text, markup=False, soft_wrap=True)

    point = found["chosen"]
    rows = found["test_rows"]
    say(
        f"{found['model']}: the CPU tier's answer is kept from a confidence of {point['threshold']:.4f}: "
        f"{point['kept']:.1%} of the {rows:,} test rows, {1 - point['kept']:.1%} go to the GPU tier"
    )
    holds = "does NOT hold, see below" if found["doubts"] else "holds"
    say(
        f"lost: {point['lost']:.2%} of them, and with a probability of {found['assurance']:.0%} at most "
        f"{point['bound']:.2%} of inputs like these; the bound {holds}"
    )
    say(
        f"right: {found['cpu_accuracy']:.1%} by the CPU tier, {found['gpu_accuracy']:.1%} by the GPU tier, "
        f"{point['accuracy']:.1%} by both together"
    )
    say(
        f"expected calibration error of the confidence: {found['calibration_error']:.3f}, "
        f"{found['calibration_error_fitted']:.3f} after an isotonic fit on the other half\n"
    )
    console.print(curve(found))
    for doubt in found["doubts"]:
        console.print(f"[bold yellow]the bound does not hold[/]: {doubt}", soft_wrap=True)
    say(
        f"\nsealed in {found['file']}, drawn in {found['page']}; `turnout plan` and the router say when it holds no "
        "longer"
    )


def curve(found: dict[str, Any]) -> Table:
    """Return some points of the curve, the chosen one among them and marked."""
    table = Table(box=None, pad_edge=False)
    for name in ("", "from", "kept", "lost", "at most", "right"):
        table.add_column(name, justify="right")
    points, chosen = found["curve"], found["chosen"]["threshold"]
    step = max(1, len(points) // SHOWN)
    for place, point in enumerate(points):
        if place % step and point["threshold"] != chosen:
            continue
        mark = "chosen" if point["threshold"] == chosen else ""
        shares = (f"{point[name]:.2%}" for name in ("kept", "lost", "bound", "accuracy"))
        table.add_row(mark, f"{point['threshold']:.4f}", *shares)
    return table
