"""The sealing of an artefact's folder: its manifest, its probe, and the digest of what decides its outputs."""

import hashlib
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from build.evaluation.metrics import Outputs
from build.evaluation.shorter_vectors import of_length_1
from build.export.exporters import exporter_of
from build.proof.probe import write_probe
from build.recipes.recipe import Recipe
from build.sources.source import GraphSource, Pooling, Source, TransformersSource
from build.step import Step, toolchain
from build.workspace.runtimes import openvino_version
from contracts.manifest import MANIFEST, RUNTIME, SHORTER, Manifest, SealedFile, sealed_files
from contracts.tasks import Runtime


def seal(
    folder: Path,
    step: Step,
    recipe: Recipe,
    parts: Path,
    reference: Sequence[Outputs],
    prepared: Path = Path(),
) -> Manifest:
    """Put the parts of an artefact into a new folder and seal it with a manifest, so that it can be loaded.

    `prepared` is the folder of the graphs that the parts were made of.
    """
    shutil.copytree(parts, folder, copy_function=_link)
    source = step.source
    manifest = Manifest(
        model=step.model,
        task=step.task.name,
        tier=step.tier,
        precision=recipe.precision,
        recipe=recipe.name,
        max_tokens=source.max_tokens,
        labels=source.labels,
        # The output for a word without a vector has no embedding, so one row is not enough.
        dimensions=max(len(outputs[0].get("embedding", ())) for outputs in reference),
        batches=recipe.batchable and source.batchable,
        details={**source.details, **_shorter(step), **_runtime(recipe)},
        source_digest=source.digest,
        build_key=step.build_key,
        toolchain={**toolchain(source), **exporter_of(prepared), **_openvino(recipe)},
        files=_files(folder),
        **_tokenized_fields(source, step, reference),
    )
    return write_manifest(folder, manifest)


def _link(source: str, destination: str) -> None:
    """Give a file a second name, as a copy of each candidate takes much of a disk; nothing changes a file in place."""
    try:
        os.link(source, destination)
    except OSError:  # of a file system that has no such links
        shutil.copyfile(source, destination)


def _shorter(step: Step) -> dict[str, list[int]]:
    return {SHORTER: list(step.dimensions)} if step.dimensions else {}


def _runtime(recipe: Recipe) -> dict[str, str]:
    return {} if recipe.runtime is Runtime.ONNX_RUNTIME else {RUNTIME: recipe.runtime.value}


def _openvino(recipe: Recipe) -> dict[str, str]:
    return {recipe.runtime.value: openvino_version()} if recipe.runtime is Runtime.OPENVINO else {}


def _tokenized_fields(source: Source, step: Step, reference: Sequence[Outputs]) -> dict[str, Any]:
    """Return the manifest's fields on pooling and padding, which only sources with a tokenizer.json have."""
    if not isinstance(source, TransformersSource | GraphSource):
        return {}
    pooling = source.pooling or Pooling(modes="")
    return {
        "pooling": pooling.modes,
        # A bare graph does not say so; the code that serves asks where it shortens a vector.
        "normalize": pooling.normalize or (bool(step.dimensions) and of_length_1(reference)),
        "pad_token_id": source.pad_token_id,
    }


def seal_chosen(
    folder: Path, step: Step, manifest: Manifest, provenance: Mapping[str, Any]
) -> Manifest:
    """Seal the candidate that ships again, with its probe and its provenance."""
    write_probe(folder, step, manifest)
    return write_manifest(folder, manifest, files=_files(folder), provenance=provenance)


def _files(folder: Path) -> tuple[SealedFile, ...]:
    """Return every file of an artefact's folder except the manifest itself."""
    paths = [path.relative_to(folder) for path in folder.rglob("*") if path.is_file()]
    return sealed_files(folder, [str(path) for path in paths if str(path) != MANIFEST])


def write_manifest(folder: Path, manifest: Manifest, **changes: Any) -> Manifest:
    """Seal the folder with a changed manifest."""
    sealed = replace(manifest, **changes).sealed()
    (folder / MANIFEST).write_text(sealed.to_json(), "utf-8")
    return sealed


def digest_of_parts(manifest: Manifest) -> str:
    """Return the digest of the files that decide the outputs: equal for two recipes with the same result."""
    parts = [file.sha256 for file in manifest.files]
    return hashlib.sha256("".join(parts).encode()).hexdigest()
