"""The plan of a build: its steps, whether an artefact is current (by its build key), and why not.

Planning reads and hashes, and writes nothing. The inputs of a build key are in `build/step.py`.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from build.edge.contents import FOLDER, outdated_reason
from build.errors import SourceError
from build.evaluation.gpu_results import read_results
from build.evaluation.rows import read_rows
from build.kernels.libraries import are_others, missing, sources_digest
from build.proof.golden import evidence_path, verify_golden
from build.sources.readers import inspect
from build.sources.remote import located
from build.step import BUILD_CODE_REVISION, Step
from build.tasks.registry import TASKS
from build.trusted_sources import source_problems
from build.workspace.runtimes import LEAST_BYTES, openvino_problem, openvino_version
from contracts.manifest import (
    BrokenArtefact,
    Manifest,
    OutdatedArtefact,
    file_sha256,
    read_manifest,
    verify,
)
from contracts.problems import Code, Problem
from contracts.specs import CpuSpec, Deployment, GpuSpec, ModelSpec
from contracts.tasks import Runtime, Server, Tier


def plan(
    deployment: Deployment, out: Path, models: Sequence[str] | None = None
) -> tuple[Step, ...]:
    """Return the steps of the named models, or of all; raise SourceError with every problem in all of them."""
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
            if isinstance(tier_spec, GpuSpec) and is_pushed(spec.name, tier_spec, out):
                continue
            step, of_step = _step(spec, tier, tier_spec, out)
            steps += [step] if step else []
            # Two tiers of one source have the same problems.
            problems += [problem for problem in of_step if problem not in problems]
    if problems:
        raise SourceError(problems)
    return tuple(steps)


def is_pushed(model: str, spec: GpuSpec, out: Path) -> bool:
    """Return whether vLLM serves a GPU tier with weights that `turnout push` sends: there is nothing to build."""
    if spec.server is not Server.AUTO:
        return spec.server is Server.VLLM
    try:
        return bool(read_manifest(out / model / Tier.GPU).pushed)
    except BrokenArtefact:
        return False


def _step(
    spec: ModelSpec, tier: Tier, tier_spec: CpuSpec | GpuSpec, out: Path
) -> tuple[Step | None, list[Problem]]:
    folder, row_format = spec.source, TASKS[spec.task].rows
    if isinstance(tier_spec, GpuSpec) and tier_spec.source:
        folder = tier_spec.source
    here, origin, problem = located(folder, out, pickle=spec.source_options.allow_pickle)
    # Before any library reads it.
    untrusted = source_problems(spec, here, remote=isinstance(folder, str)) if here else []
    if here is None or problem or untrusted:
        problems = [problem] if problem else untrusted
        # Rows are read all the same, so that their problems are reported together with the source's.
        problems += read_rows(spec.eval, row_format, None)[1]
        return None, [each.within(spec.name) for each in problems]
    source, of_source = inspect(here, spec.task, tier_spec.max_tokens, spec.source_options)
    known = (source.labels, source.details) if source else (None, None)
    rows, of_rows = read_rows(spec.eval, row_format, *known)
    found = (
        *_within(out, here),
        *of_source,
        *of_rows,
        *_missing_runtime(tier_spec),
        *missing_kernels(tier_spec, absent := missing()),
    )
    problems = [each.within(spec.name) for each in found]
    if source is None or problems:
        return None, problems
    on_cpu = tier_spec if isinstance(tier_spec, CpuSpec) else None
    kernels = _wants_kernels(on_cpu, source.weight_bytes, edge=spec.edge)
    step = Step(
        model=spec.name,
        tier=tier,
        source=source,
        rows=rows,
        quantize=on_cpu is not None and on_cpu.quantize == "int8",
        objective=on_cpu.objective if on_cpu else "latency",
        runtime=on_cpu.runtime if on_cpu else Runtime.AUTO,
        memory_mb=tier_spec.memory_mb,
        portable=on_cpu is not None and on_cpu.portable,
        kernels=sources_digest() if kernels and not absent else "",
        asks_kernels=on_cpu.kernels if on_cpu else None,
        no_kernels=absent if kernels else "",
        edge=spec.edge and on_cpu is not None,
        origin=origin,
        gate=spec.gate,
        rows_digest=file_sha256(spec.eval),
        revision=BUILD_CODE_REVISION,
        gpu_results=() if on_cpu else read_results(out, spec.name),
        dimensions=spec.dimensions,
    )
    return _with_reason(step, out), []


def _within(out: Path, source: Path) -> list[Problem]:
    """Return a problem where artefacts would be written into the folder that they are built from."""
    if not (source.is_dir() and out.resolve().is_relative_to(source.resolve())):
        return []
    message = (
        f"what is built goes to {out}, which lies in it, so that each build would change its own source; "
        "name a folder elsewhere with --out"
    )
    return [Problem(code=Code.SETTING_INVALID, where=str(source), message=message)]


def _missing_runtime(spec: CpuSpec | GpuSpec) -> list[Problem]:
    """Return a problem where OpenVINO is asked for and cannot be had."""
    if not (isinstance(spec, CpuSpec) and spec.runtime is Runtime.OPENVINO):
        return []
    message = openvino_problem(available=bool(openvino_version()))
    found = Problem(code=Code.SETTING_INVALID, where="cpu.runtime", message=message)
    return [found] if message else []


def _wants_kernels(spec: CpuSpec | None, weight_bytes: int, *, edge: bool) -> bool:
    """Return whether candidates may have our operators.

    By default those of models large enough to gain, without an edge copy, which runs on other systems as well.
    """
    if spec is None or spec.kernels is not None:
        return spec is not None and bool(spec.kernels)
    return weight_bytes >= LEAST_BYTES and not edge


def missing_kernels(spec: CpuSpec | GpuSpec, why: str) -> list[Problem]:
    """Return a problem where our operators are asked for and are not there; `why` is empty if they are."""
    asked = isinstance(spec, CpuSpec) and spec.kernels
    if not asked or not why:
        return []
    return [Problem(code=Code.SETTING_INVALID, where="cpu.kernels", message=f"it is true; {why}")]


def _with_reason(step: Step, out: Path) -> Step:
    """Return the step with its build key and the reason to build it."""
    build_key = hashlib.sha256(json.dumps(step.decided_by, sort_keys=True).encode()).hexdigest()
    why = _artefact_reason(out / step.model / step.tier, build_key)
    copy = _copy_reason(out / step.model, step.tier) if step.edge and not why else ""
    return replace(step, build_key=build_key, why=why or copy, sealed=not why)


def _artefact_reason(folder: Path, build_key: str) -> str:
    """Return the reason to build an artefact; "" where it is whole, proven and made from the same."""
    if not folder.exists():
        return "not built yet"
    try:
        manifest = verify(folder)
    except OutdatedArtefact as error:
        return f"outdated: {error}"
    except BrokenArtefact as error:
        return f"damaged: {error}"
    if manifest.build_key != build_key:
        return "source, rows, settings or tools have changed"
    if why := _other_code(manifest):
        return why
    # An artefact of the same key may have been built again since its evidence was written.
    if _proven_version(folder) != manifest.version:
        return "its evidence is missing"
    try:
        verify_golden(folder, manifest)
    except BrokenArtefact as error:
        return f"damaged: {error}"
    return ""


def _other_code(manifest: Manifest) -> str:
    """Return a reason where what computes the graph is here, and is another one; "" without."""
    if manifest.runtime == Runtime.OPENVINO and openvino_version() not in (
        "",
        manifest.toolchain[Runtime.OPENVINO],
    ):
        return "OpenVINO has another version"
    return "its operators were compiled of other sources" if are_others(manifest) else ""


def _copy_reason(place: Path, tier: Tier) -> str:
    """Return the reason to make the edge copy of a sound artefact again; "" where it is current."""
    return outdated_reason(place / FOLDER, read_manifest(place / tier))


def _proven_version(folder: Path) -> object:
    """Return the version that the evidence beside an artefact is about; None where there is none.

    Evidence is written last, so a build that was interrupted before it is done again.
    """
    try:
        return json.loads(evidence_path(folder).read_text("utf-8"))["version"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
