"""Deployments of any number of models, all of one real artefact under other names."""

from dataclasses import replace
from pathlib import Path

from contracts.keys import key_hash
from contracts.manifest import MANIFEST, read_manifest
from contracts.specs import CpuSpec, Deployment, GpuSpec, ModelSpec
from contracts.tasks import Task
from images.blob import link_or_copy
from stacks.app import Inputs

KEY = "benchmark"
# Every tenth model has a GPU tier as well, the first among them.
WITH_GPU = 10


def deployment(count: int) -> Deployment:
    """Return a deployment of so many classifiers."""
    return Deployment(name="scale", models=tuple(_model(number) for number in range(count)))


def _model(number: int) -> ModelSpec:
    gpu = GpuSpec(instance="ml.g6.xlarge") if number % WITH_GPU == 0 else None
    return ModelSpec(
        name=f"model-{number:04}",
        source="nowhere",
        task=Task.TEXT_CLASSIFICATION,
        eval=Path("nowhere"),
        cpu=CpuSpec(),
        gpu=gpu,
    )


def write_artefacts(of: Deployment, artefact: Path, out: Path) -> None:
    """Write the artefact of each tier: the files of one that was built, linked, under a manifest of its own name."""
    manifest = read_manifest(artefact)
    for model in of.models:
        for tier in model.tiers:
            folder = out / model.name / tier
            folder.mkdir(parents=True)
            for file in manifest.files:
                link_or_copy(artefact / file.path, folder / file.path)
            named = replace(manifest, model=model.name, tier=tier).sealed()
            (folder / MANIFEST).write_text(named.to_json(), "utf-8")


def inputs_of(of: Deployment, folder: Path) -> Inputs:
    """Return the inputs of a synthesis whose artefacts lie in a folder."""
    return Inputs(
        deployment=of,
        out=folder / "models.out",
        key_hashes={"benchmark": key_hash(KEY)},
        staging=folder / "staging",
        images=folder / "images.out",
        account="123456789012",
    )
