"""The cascades of a deployment: sealed calibrations, as far as they are of the artefacts that are deployed."""

from collections.abc import Mapping
from pathlib import Path

from contracts.cascade.calibration import FILE, BrokenCalibration, Calibration, read_calibration
from contracts.manifest import Manifest
from contracts.problems import Problem
from contracts.routes import Cascade
from contracts.specs import Deployment
from contracts.tasks import Tier

STALE = "its artefacts are not those that it was calibrated with; run `turnout calibrate` again"


def read_cascades(
    deployment: Deployment, out: Path, manifests: Mapping[tuple[str, Tier], Manifest]
) -> tuple[dict[str, Cascade], list[Problem]]:
    """Return the cascades by their models, and a problem for each calibration that was changed.

    One of other artefacts is returned as off: the CPU tier answers alone, and everybody can see why.
    """
    found: dict[str, Cascade] = {}
    problems = []
    for model in deployment.models:
        digests = tuple(
            manifests[model.name, tier].digest for tier in Tier if (model.name, tier) in manifests
        )
        try:
            calibration = read_calibration(out / model.name / FILE)
        except BrokenCalibration as error:
            problems.append(Problem(code=error.code, message=str(error)))
            continue
        if calibration and len(model.tiers) == len(Tier):
            found[model.name] = cascade_of(calibration, digests)
    return found, problems


def cascade_of(calibration: Calibration, digests: tuple[str, ...]) -> Cascade:
    """Return the cascade of a calibration, off unless it is of the artefacts with these digests."""
    point = calibration.chosen
    return Cascade(
        threshold=point.threshold,
        parameters=calibration.parameters,
        rows=calibration.test_rows,
        kept=point.kept,
        lost=point.lost,
        bound=point.bound,
        assurance=calibration.assurance,
        doubts=calibration.doubts,
        digest=calibration.digest,
        disagreed=calibration.disagreed,
        off="" if digests == (calibration.cpu, calibration.gpu) else STALE,
    )
