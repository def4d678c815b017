"""What would be built, and why. Reads and hashes, writes nothing."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from build.edge.contents import FOLDER, outdated_reason
from build.errors import SourceError
from build.evaluation.rows import read_rows
from build.sources.readers import inspect
from build.sources.remote import located
from build.step import REVISION, Step
from contracts.manifest import BrokenArtefact, file_sha256, read_manifest, verify
from contracts.problems import Code, Problem
from contracts.specs import CpuSpec, Deployment, GpuSpec, ModelSpec
from contracts.tasks import Tier


def plan(
    deployment: Deployment, out: Path, models: Sequence[str] | None = None
) -> tuple[Step, ...]:
    """The steps of the models named, all when none is; raises SourceError with every problem found."""
    known = [spec.name for spec in deployment.models]
    problems = [
        Problem(
            code=Code.MODEL_UNKNOWN,
            message=f"no model named {name} in the file; it has {', '.join(known)}",
        )
        for name in models or ()
        if name not in known
    ]
    steps: list[Step] = []
    for spec in deployment.models:
        if models and spec.name not in models:
            continue
        for tier, tier_spec in spec.tiers.items():
            step, found = _step(spec, tier, tier_spec, out)
            steps += [step] if step else []
            problems += [problem for problem in found if problem not in problems]
    if problems:
        raise SourceError(problems)
    return tuple(steps)


def _step(
    spec: ModelSpec, tier: Tier, tier_spec: CpuSpec | GpuSpec, out: Path
) -> tuple[Step | None, list[Problem]]:
    folder = spec.source
    if isinstance(tier_spec, GpuSpec) and tier_spec.source:
        folder = tier_spec.source
    here, origin, problem = located(folder, out, pickle=spec.hints.pickle)
    if here is None or problem:
        found = [problem] if problem else []
        found += read_rows(spec.eval, spec.task, None)[1]
        return None, [each.within(spec.name) for each in found]
    source, found = inspect(here, spec.task, tier_spec.max_tokens, spec.hints)
    rows, of_rows = read_rows(spec.eval, spec.task, source.labels if source else None)
    problems = [each.within(spec.name) for each in (*_within(out, here), *found, *of_rows)]
    if source is None or problems:
        return None, problems
    on_cpu = tier_spec if isinstance(tier_spec, CpuSpec) else None
    step = Step(
        model=spec.name,
        tier=tier,
        task=spec.task,
        source=source,
        rows=rows,
        quantize=on_cpu is not None and on_cpu.quantize == "int8",
        objective=on_cpu.objective if on_cpu else "latency",
        memory_mb=tier_spec.memory_mb,
        portable=on_cpu is not None and on_cpu.portable,
        edge=spec.edge and on_cpu is not None,
        origin=origin,
        gate=spec.gate,
        rows_digest=file_sha256(spec.eval),
        revision=REVISION,
    )
    return _explained(step, out), []


def _within(out: Path, source: Path) -> list[Problem]:
    """Return a problem where what is built would be taken for a part of what it is built from."""
    if not (source.is_dir() and out.resolve().is_relative_to(source.resolve())):
        return []
    message = (
        f"what is built goes to {out}, which lies in it, so that each build would change its own source; "
        "name a folder elsewhere with --out"
    )
    return [Problem(code=Code.SETTING_INVALID, where=str(source), message=message)]


def _explained(step: Step, out: Path) -> Step:
    """The step with its build key, and with what makes it necessary."""
    build_key = hashlib.sha256(json.dumps(step.decided_by, sort_keys=True).encode()).hexdigest()
    why = _why(out / step.model / step.tier, build_key)
    copied = _why_copy(out / step.model, step.tier) if step.edge and not why else ""
    return replace(step, build_key=build_key, why=why or copied, sealed=not why)


def _why(folder: Path, build_key: str) -> str:
    """What makes a build necessary; empty when the artefact there is whole and made from the same."""
    if not folder.exists():
        return "not built yet"
    try:
        manifest = verify(folder)
    except BrokenArtefact as error:
        return f"damaged: {error}"
    if manifest.build_key != build_key:
        return "source, rows, settings or tools have changed"
    if _proven(folder) != manifest.version:
        return "its evidence is missing"
    return ""


def _why_copy(place: Path, tier: Tier) -> str:
    """What makes it necessary to make the edge copy of a sound artefact again."""
    return outdated_reason(place / FOLDER, read_manifest(place / tier))


def _proven(folder: Path) -> object:
    """The version that the evidence beside an artefact speaks of."""
    try:
        text = (folder.parent / "evidence" / f"{folder.name}.json").read_text("utf-8")
        return json.loads(text)["version"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
