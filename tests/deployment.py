"""The stacks of a small deployment, synthesised once for all the tests that look at them."""

import atexit
import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from contracts.routes import key_hash
from contracts.specs import CpuSpec, Deployment, GpuSpec, ModelSpec, Throttle
from contracts.tasks import Task, Tier
from stacks.assembly import Inputs, make_app
from tests.tiny import Tiny, artefact, vectors
from turnout.laptop import ROOT

KEY = "to-the-key-itself"
ACCOUNT = "123456789012"
INTENTS = ModelSpec(
    name="intents",
    source=Path("nowhere"),
    task=Task.TEXT_CLASSIFICATION,
    eval=Path("nowhere"),
    cpu=CpuSpec(memory_mb=2048, timeout_s=7, max_inputs=16),
    gpu=GpuSpec(instance="ml.g6.xlarge", max_inputs=200),
)
WORDS = ModelSpec(
    name="words",
    source=Path("nowhere"),
    task=Task.FEATURE_EXTRACTION,
    eval=Path("nowhere"),
    cpu=CpuSpec(),
)
SHOP = Deployment(name="shop", throttle=Throttle(rate=5, burst=9), models=(INTENTS, WORDS))

Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Synthesised:
    """What a synthesis wrote: templates and assets by stack."""

    folder: Path
    templates: Mapping[str, Json]
    assets: Mapping[str, Json]

    def resources(self, stack: str, kind: str) -> dict[str, Json]:
        """The stack's resources of a type, by logical id."""
        found = self.templates[stack]["Resources"]
        return {name: resource for name, resource in found.items() if resource["Type"] == kind}

    def only(self, stack: str, kind: str) -> Json:
        (resource,) = self.resources(stack, kind).values()
        return resource

    def everywhere(self, kind: str) -> list[Json]:
        return [r for stack in self.templates for r in self.resources(stack, kind).values()]


def build(out: Path) -> Path:
    """The artefacts of the deployment, sealed."""
    artefact(out / "intents/cpu", Tiny(model="intents", precision="int8"))
    artefact(out / "intents/gpu", Tiny(model="intents", tier=Tier.GPU))
    artefact(out / "words/cpu", vectors())
    return out


def inputs(folder: Path, deployment: Deployment = SHOP) -> Inputs:
    return Inputs(
        deployment=deployment,
        out=folder / "models.out",
        key_hashes={"ci": key_hash(KEY)},
        staging=folder / "staging",
        account=ACCOUNT,
    )


def synthesise(asked: Inputs, outdir: Path) -> Synthesised:
    context = json.loads((ROOT / "cdk.json").read_text("utf-8"))["context"]
    make_app(asked, outdir=str(outdir), context=context).synth()
    return read(outdir)


def read(folder: Path) -> Synthesised:
    """What lies in a cloud assembly."""

    def by_stack(ending: str) -> dict[str, Json]:
        paths = sorted(folder.glob(f"*{ending}"))
        return {
            path.name.removesuffix(ending): json.loads(path.read_text("utf-8")) for path in paths
        }

    return Synthesised(
        folder=folder, templates=by_stack(".template.json"), assets=by_stack(".assets.json")
    )


@cache
def shop() -> Synthesised:
    """The deployment's stacks; made once, because starting the CDK takes seconds."""
    folder = Path(tempfile.mkdtemp(prefix="turnout-tests-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    build(folder / "models.out")
    return synthesise(inputs(folder), folder / "cdk.out")
