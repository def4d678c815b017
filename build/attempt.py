"""One candidate: made by its recipe, sealed, loaded and asked by the code that will serve it."""

import os
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from build.golden import write_golden
from build.metrics import Outputs
from build.plan import Step, toolchain
from build.quantize import Recipe
from build.rows import Row
from contracts.manifest import MANIFEST, Manifest, sealed_files
from functions.inference.engine import Engine
from functions.inference.tokens import Feeds

FILES = ("golden.jsonl", "model.onnx", "tokenizer.json")
# Rows a candidate is calibrated on: an even sample. Ranges settle after a few dozen texts.
CALIBRATION_ROWS = 128


def seal(
    folder: Path,
    step: Step,
    recipe: Recipe,
    model: Path,
    original: Sequence[Outputs],
) -> Manifest:
    """Make a folder of what an artefact consists of, and write its manifest over all of it."""
    folder.mkdir()
    source = step.source
    shutil.copyfile(source.tokenizer, folder / "tokenizer.json")
    shutil.copyfile(model, folder / "model.onnx")
    write_golden(folder / "golden.jsonl", step.rows, original)
    manifest = Manifest(
        model=step.model,
        task=step.task,
        tier=step.tier,
        precision=recipe.precision,
        recipe=recipe.name,
        max_tokens=source.max_tokens,
        labels=source.labels,
        dimensions=len(original[0][0].get("embedding", ())),
        pooling=source.pooling,
        normalize=source.normalize,
        pad_token_id=source.pad_token_id,
        batches=recipe.batches,
        details=source.details,
        source_digest=source.digest,
        build_key=step.build_key,
        toolchain=toolchain(),
        files=sealed_files(folder, FILES),
    )
    return write_manifest(folder, manifest)


def write_manifest(folder: Path, manifest: Manifest, **changes: Any) -> Manifest:
    """Seal the folder again under the manifest with those changes."""
    sealed = replace(manifest, **changes).sealed()
    (folder / MANIFEST).write_text(sealed.to_json(), "utf-8")
    return sealed


def ask(folder: Path, rows: Sequence[Row]) -> list[Outputs]:
    """The artefact's outputs, row by row; as many rows at once as there are processors, each on one thread."""
    engine = Engine.load(folder, max_inputs=max(len(row.request.inputs) for row in rows))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(lambda row: engine.predict(row.request).outputs, rows))


def calibration(feeds: Sequence[Feeds]) -> list[Feeds]:
    """An even sample of what the rows feed the model."""
    return list(feeds[:: -(-len(feeds) // CALIBRATION_ROWS)])
