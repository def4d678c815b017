"""What would be built, and why. Reads and hashes, writes nothing."""

import hashlib
import importlib.metadata
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from build.errors import SourceError
from build.remote import located
from build.rows import Row, read_rows
from build.runner import FOLDER, lacking
from build.source import Source, inspect
from contracts.manifest import BrokenArtefact, file_sha256, read_manifest, verify
from contracts.specs import CpuSpec, Deployment, Gate, GpuSpec, ModelSpec
from contracts.tasks import Task, Tier
from functions.inference.session import threads_of

# Raised whenever our own code would build other bytes from the same inputs.
REVISION = 6
TOOLS = ("onnx", "onnxruntime", "optimum", "optimum-onnx", "tokenizers", "torch", "transformers")


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One artefact to be: a model on a tier. `why` says what makes it necessary; empty when it is current.

    `edge` asks for a copy that runs by itself; where only that is to be made, the artefact is `sealed` already.
    """

    model: str
    tier: Tier
    task: Task
    source: Source
    rows: tuple[Row, ...]
    quantize: bool
    objective: str
    memory_mb: int
    portable: bool
    edge: bool
    origin: str
    gate: Gate
    rows_digest: str
    revision: int
    build_key: str = ""
    why: str = ""
    sealed: bool = False

    @property
    def current(self) -> bool:
        return not self.why

    @property
    def name(self) -> str:
        return f"{self.model} {self.tier}"

    @property
    def made_from(self) -> dict[str, Any]:
        """What decides the bytes of the graphs."""
        return {
            "source": self.source.digest,
            "task": self.source.task,
            "max_tokens": self.source.max_tokens,
            "labels": self.source.labels,
            "inputs": self.source.inputs,
            "toolchain": toolchain(self.source),
            "revision": self.revision,
        }

    @property
    def decided_by(self) -> dict[str, Any]:
        """What decides which artefact is built: an artefact made from the same is current."""
        return {
            **self.made_from,
            "tier": self.tier,
            "quantize": self.quantize,
            "objective": self.objective,
            "portable": self.portable,
            "threads": threads_of(self.memory_mb) if self.tier is Tier.CPU else 0,
            "gate": asdict(self.gate),
            "origin": self.origin,
            "eval": self.rows_digest,
        }


def toolchain(source: Source) -> dict[str, str]:
    """Versions of what decides the bytes of an artefact; a local build mark such as +cpu is left out."""
    ours = {tool: importlib.metadata.version(tool).split("+")[0] for tool in TOOLS}
    return {**ours, **source.tools}


def plan(
    deployment: Deployment, out: Path, models: Sequence[str] | None = None
) -> tuple[Step, ...]:
    """The steps of the models named, all when none is; raises SourceError with every mistake found."""
    known = [spec.name for spec in deployment.models]
    mistakes = [
        f"no model named {name} in the file; it has {', '.join(known)}"
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
            mistakes += [mistake for mistake in found if mistake not in mistakes]
    if mistakes:
        raise SourceError(mistakes)
    return tuple(steps)


def _step(
    spec: ModelSpec, tier: Tier, tier_spec: CpuSpec | GpuSpec, out: Path
) -> tuple[Step | None, list[str]]:
    folder = spec.source
    if isinstance(tier_spec, GpuSpec) and tier_spec.source:
        folder = tier_spec.source
    here, origin, lacking = located(folder, out, pickle=spec.hints.pickle)
    if here is None:
        _, wrong = read_rows(spec.eval, spec.task, None)
        return None, [f"{spec.name}: {mistake}" for mistake in (lacking, *wrong)]
    source, mistakes = inspect(here, spec.task, tier_spec.max_tokens, spec.hints)
    rows, wrong = read_rows(spec.eval, spec.task, source.labels if source else None)
    mistakes = [f"{spec.name}: {m}" for m in (*_within(out, here), *mistakes, *wrong)]
    if source is None or mistakes:
        return None, mistakes
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


def _within(out: Path, source: Path) -> list[str]:
    """A mistake where what is built would be taken for a part of what it is built from."""
    if not (source.is_dir() and out.resolve().is_relative_to(source.resolve())):
        return []
    return [
        f"{source}: what is built goes to {out}, which lies in it, so that each build would change its own source; "
        "name a folder elsewhere with --out"
    ]


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
    return lacking(place / FOLDER, place / tier, read_manifest(place / tier))


def _proven(folder: Path) -> object:
    """The version that the evidence beside an artefact speaks of."""
    try:
        text = (folder.parent / "evidence" / f"{folder.name}.json").read_text("utf-8")
        return json.loads(text)["version"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
