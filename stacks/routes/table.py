"""The route table that is synthesised into the router's image, from settings and built artefacts."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from contracts.manifest import BrokenArtefact, Manifest, verify
from contracts.names import (
    ALIAS,
    endpoint,
    model_stack,
    registry,
    sampling_function,
    states_stack,
)
from contracts.problems import Problem
from contracts.routes import Cascade, Route, Routes, Target
from contracts.specs import CpuSpec, Deployment, GpuSpec, ModelSpec
from contracts.tasks import Server, Tier
from signatures.check import artefact_problems
from stacks.routes.cascades import read_cascades
from stacks.routes.measured import Measured, measured
from stacks.routes.sampling import sampled_models
from stacks.routes.servers import missing, read_servings, server_of
from stacks.scaling.starts import wake_of
from stacks.weights.proved import is_proved
from stacks.weights.serving import Serving, served_tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class Artefacts:
    """The built parts of a deployment: the manifests by model and tier, and the cascades by model.

    `servings` are those of the models whose weights were pushed, and which vLLM serves.
    """

    manifests: Mapping[tuple[str, Tier], Manifest]
    cascades: Mapping[str, Cascade]
    servings: Mapping[str, Serving] = field(default_factory=dict)


def read_artefacts(deployment: Deployment, out: Path) -> tuple[Artefacts, list[Problem]]:
    """Return all artefacts to deploy, and their problems.

    Every sealed byte is checked, and the signature of each model that names `trusted_keys`.
    """
    manifests: dict[tuple[str, Tier], Manifest] = {}
    problems: list[Problem] = []
    for model in deployment.models:
        for tier in model.tiers:
            folder = out / model.name / tier
            if not folder.exists():
                problems.append(missing(model, tier, out))
                continue
            try:
                manifests[model.name, tier] = verify(folder)
            except BrokenArtefact as error:
                problems.append(Problem(code=error.code, message=str(error)))
                continue
            problems += artefact_problems(model.name, folder, model.trusted_keys)
    cascades, changed = read_cascades(deployment, out, manifests)
    servings, unserved = read_servings(deployment, out, manifests)
    artefacts = Artefacts(manifests=manifests, cascades=cascades, servings=servings)
    return artefacts, [*problems, *changed, *unserved]


def make_routes(
    deployment: Deployment, artefacts: Artefacts, key_hashes: Mapping[str, str], out: Path
) -> Routes:
    """Return the route table, with what the evidence of the artefacts in `out` has measured."""
    sampler = f"{sampling_function(deployment.name)}:{ALIAS}"
    return Routes(
        deployment=deployment.name,
        registry=registry(deployment.name),
        models={
            model.name: _route(deployment.name, model, artefacts, out)
            for model in deployment.models
        },
        key_hashes=key_hashes,
        cors_origins=deployment.cors_origins,
        states=states_stack(deployment.name) if deployment.has_gpu else "",
        sampler=sampler if sampled_models(deployment, artefacts.cascades) else "",
    )


def _route(deployment: str, model: ModelSpec, artefacts: Artefacts, out: Path) -> Route:
    known = {tier: measured(out, artefacts.manifests[model.name, tier]) for tier in model.tiers}
    targets = {
        tier: _target(
            deployment,
            spec,
            artefacts.manifests[model.name, tier],
            known[tier],
            proved=is_proved(out, artefacts.manifests[model.name, tier]),
            out=out,
        )
        for tier, spec in model.tiers.items()
    }
    # Labels and dimensions are those of the model, the same on every tier.
    manifest = artefacts.manifests[model.name, next(iter(targets))]
    return Route(
        model=model.name,
        task=model.task,
        targets=targets,
        labels=manifest.labels,
        dimensions=manifest.dimensions,
        # Both tiers read the same rows; a GPU tier of another model may have another tokenizer.
        chars_per_token=min(one.chars_per_token for one in known.values()),
        cascade=artefacts.cascades.get(model.name),
        split=model.split,
        # vLLM reads the template of the weights that were pushed, and says itself if there is none.
        chat=all(
            target.server is Server.VLLM or artefacts.manifests[model.name, tier].chat
            for tier, target in targets.items()
        ),
        # Where one tier was built with another setting, what both were proved with.
        shorter_dimensions=tuple(
            number
            for number in manifest.shorter_dimensions
            if all(
                number in artefacts.manifests[model.name, tier].shorter_dimensions
                for tier in targets
            )
        ),
    )


def address(deployment: str, model: str, spec: CpuSpec | GpuSpec) -> str:
    """Return the name that the router invokes a tier by."""
    if isinstance(spec, GpuSpec):
        return endpoint(deployment, model, spec.instance)
    return f"{model_stack(deployment, model, Tier.CPU)}:{ALIAS}"


def _max_tokens(spec: CpuSpec | GpuSpec, manifest: Manifest) -> int:
    if isinstance(spec, GpuSpec) and manifest.pushed:
        return served_tokens(spec, manifest)
    return manifest.max_tokens


def _target(
    deployment: str,
    spec: CpuSpec | GpuSpec,
    manifest: Manifest,
    known: Measured,
    *,
    proved: bool,
    out: Path,
) -> Target:
    waking: dict[str, Any] = {}
    if isinstance(spec, GpuSpec):
        # One that never sleeps is without a copy while it is deployed, or lost its instance: AWS starts it unasked.
        waking = {
            "wake": spec.wake,
            "wake_s": round(wake_of(spec, manifest, out).seconds),
            "sleeps": spec.min_instances == 0,
            "sample": spec.sample,
            "shadow": spec.shadow,
            "server": server_of(spec, manifest),
        }
    return Target(
        model=manifest.model,
        tier=manifest.tier,
        address=address(deployment, manifest.model, spec),
        version=manifest.version,
        precision=manifest.precision,
        max_inputs=spec.max_inputs,
        max_chars=spec.max_chars,
        max_tokens=_max_tokens(spec, manifest),
        timeout_s=spec.timeout_s,
        latency_ms=known.latency_ms,
        proved=proved,
        **waking,
    )
