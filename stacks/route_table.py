"""The route table that is synthesised into the router's image, from settings and built artefacts."""

from collections.abc import Mapping
from pathlib import Path

from contracts.manifest import BrokenArtefact, Manifest, verify
from contracts.names import ALIAS, endpoint, model_stack, registry
from contracts.problems import Code, Problem
from contracts.routes import Route, Routes, Target
from contracts.specs import CpuSpec, Deployment, GpuSpec, ModelSpec
from contracts.tasks import Tier
from signatures.check import artefact_problems

Artefacts = Mapping[tuple[str, Tier], Manifest]


def read_artefacts(deployment: Deployment, out: Path) -> tuple[Artefacts, list[Problem]]:
    """Return the manifests of all artefacts to deploy, and their problems.

    Every sealed byte is checked, and the signature of each model that names `trusted_keys`.
    """
    manifests: dict[tuple[str, Tier], Manifest] = {}
    problems: list[Problem] = []
    for model in deployment.models:
        for tier in model.tiers:
            folder = out / model.name / tier
            if not folder.exists():
                message = f"has no artefact for its {tier} tier in {out}; run `turnout build`"
                problems.append(
                    Problem(code=Code.ARTEFACT_MISSING, where=model.name, message=message)
                )
                continue
            try:
                manifests[model.name, tier] = verify(folder)
            except BrokenArtefact as error:
                problems.append(Problem(code=error.code, message=str(error)))
                continue
            problems += artefact_problems(model.name, folder, model.trusted_keys)
    return manifests, problems


def make_routes(
    deployment: Deployment, artefacts: Artefacts, key_hashes: Mapping[str, str]
) -> Routes:
    return Routes(
        deployment=deployment.name,
        registry=registry(deployment.name),
        models={
            model.name: _route(deployment.name, model, artefacts) for model in deployment.models
        },
        key_hashes=key_hashes,
        cors_origins=deployment.cors_origins,
    )


def _route(deployment: str, model: ModelSpec, artefacts: Artefacts) -> Route:
    targets = {
        tier: _target(deployment, model.name, tier, spec, artefacts[model.name, tier])
        for tier, spec in model.tiers.items()
    }
    # Labels and dimensions are those of the model, the same on every tier.
    manifest = artefacts[model.name, next(iter(targets))]
    return Route(
        model=model.name,
        task=model.task,
        targets=targets,
        labels=manifest.labels,
        dimensions=manifest.dimensions,
    )


def address(deployment: str, model: str, spec: CpuSpec | GpuSpec) -> str:
    """Return the name that the router invokes a tier by."""
    if isinstance(spec, GpuSpec):
        return endpoint(deployment, model, spec.instance)
    return f"{model_stack(deployment, model, Tier.CPU)}:{ALIAS}"


def _target(
    deployment: str, model: str, tier: Tier, spec: CpuSpec | GpuSpec, manifest: Manifest
) -> Target:
    return Target(
        model=model,
        tier=tier,
        address=address(deployment, model, spec),
        version=manifest.version,
        precision=manifest.precision,
        max_inputs=spec.max_inputs,
        max_chars=spec.max_chars,
        max_tokens=manifest.max_tokens,
        timeout_s=spec.timeout_s,
    )
