"""The artefacts of both tiers of a model, checked for what a cascade needs of them."""

from collections.abc import Mapping
from pathlib import Path

from build.cascade.errors import CalibrationFailed
from contracts.cascade.confidence import CONFIDENCES
from contracts.manifest import BrokenArtefact, Manifest, verify
from contracts.problems import Code, Problem
from contracts.specs import ModelSpec
from contracts.tasks import Task, Tier

Manifests = Mapping[Tier, Manifest]
# Tasks whose answers are labels of the model; an NLI model's own labels are none.
BY_LABEL = (Task.TEXT_CLASSIFICATION, Task.TOKEN_CLASSIFICATION)


def cascade_artefacts(spec: ModelSpec, out: Path) -> Manifests:
    """Return the manifests of both tiers; raise CalibrationFailed with every problem."""
    problems = _spec_problems(spec)
    manifests = {}
    for tier in () if problems else spec.tiers:
        try:
            manifests[tier] = verify(out / spec.name / tier)
        except (BrokenArtefact, OSError) as error:
            message = f"{error}; run `turnout build {spec.name}`"
            problems.append(Problem(code=Code.ARTEFACT_MISSING, where=spec.name, message=message))
    problems += [] if problems else _answer_problems(spec.name, manifests)
    if problems:
        raise CalibrationFailed(spec.name, problems)
    return manifests


def _spec_problems(spec: ModelSpec) -> list[Problem]:
    problems = []
    if missing := [tier for tier in Tier if tier not in spec.tiers]:
        message = f"has no {missing[0]} tier; a cascade needs both: give it `cpu` and `gpu` in models.toml"
        problems.append(Problem(code=Code.SETTING_MISSING, where=spec.name, message=message))
    if spec.task not in CONFIDENCES:
        message = (
            f"answers of {spec.task} have no confidence; those of {', '.join(CONFIDENCES)} have"
        )
        problems.append(Problem(code=Code.TASK_UNSUPPORTED, where=spec.name, message=message))
    return problems


def _answer_problems(model: str, manifests: Manifests) -> list[Problem]:
    """Return a problem where answers have no confidence, or the tiers do not answer in the same words."""
    cpu, gpu = manifests[Tier.CPU], manifests[Tier.GPU]
    problems = []
    if "regression" in cpu.details:
        message = "answers with numbers, which have no confidence"
        problems.append(Problem(code=Code.TASK_UNSUPPORTED, where=model, message=message))
    apart = set(cpu.labels) ^ set(gpu.labels)
    if apart and cpu.task in BY_LABEL:
        shown = ", ".join(sorted(apart)[:5])
        message = (
            f"one of its tiers alone has the labels {shown}; both have to answer in the same ones"
        )
        problems.append(Problem(code=Code.LABELS_MISMATCH, where=model, message=message))
    return problems
