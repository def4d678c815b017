"""The artefact of pushed weights: their list and the model's settings, sealed, so that synthesis knows the digest."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from build.workspace.publish import publish, work_folder
from contracts.manifest import MANIFEST, PUSHED, Manifest, sealed_files
from contracts.specs import ModelSpec
from contracts.tasks import Tier
from contracts.weights.pushed import LIST, Weights
from stacks.fit.model import Model, read_model
from stacks.weights.container import CONTAINER, Container
from stacks.weights.serving import STORED
from turnout.fit.source import INDEX
from turnout.push.tree import CONFIG, Tree, read_json

# What is kept of the model's own files, where it has them: for the size, the template and the tokens of a text's end.
KEPT = (CONFIG, "generation_config.json", "tokenizer_config.json", "chat_template.jinja", INDEX)
RECIPE = "pushed"


def read_size(tree: Tree, weights: Weights) -> Model:
    """Return the model's size by its config.json and its weights' bytes; raise Unsized."""
    return size_of(tree, [file.path for file in weights.files])


def size_of(tree: Tree, paths: Sequence[str]) -> Model:
    """Return the size of a model in files, of which no digest is needed; raise Unsized."""
    where = f"{tree.named.rstrip('/')}/{CONFIG}"
    return read_model(read_json(tree, CONFIG), stored_bytes(tree, paths), where=where)


def stored_bytes(tree: Tree, paths: Sequence[str]) -> int:
    """Return the bytes of all tensors: of an index, what it states, else those of the shards without their headers."""
    if INDEX in tree.sizes:
        metadata = read_json(tree, INDEX).get("metadata")
        total = metadata.get("total_size") if isinstance(metadata, dict) else None
        if isinstance(total, int) and not isinstance(total, bool) and total > 0:
            return total
    stored = 0
    for path in paths:
        if path.endswith(".safetensors"):
            with tree.open(path) as shard:
                stored += tree.sizes[path] - 8 - int.from_bytes(shard.read(8), "little")
    return stored


def seal(
    spec: ModelSpec,
    tree: Tree,
    weights: Weights,
    model: Model,
    out: Path,
    container: Container | None = None,
) -> Manifest:
    """Write the artefact of a model's GPU tier, in the place of an older one; return its manifest."""
    details: dict[str, Any] = {
        PUSHED: weights.digest,
        STORED: stored_bytes(tree, [file.path for file in weights.files]),
    }
    if container:
        details[CONTAINER] = container.to_json()
    with work_folder(out) as work:
        folder = work / Tier.GPU
        folder.mkdir()
        for name in KEPT:
            if name in tree.sizes:
                with tree.open(name) as file:
                    (folder / name).write_bytes(file.read(tree.sizes[name]))
        (folder / LIST).write_text(weights.to_json(), "utf-8")
        manifest = Manifest(
            model=spec.name,
            task=spec.task,
            tier=Tier.GPU,
            precision=model.dtype,
            recipe=RECIPE,
            max_tokens=model.shape.context,
            details=details,
            provenance=_provenance(weights),
            # Of other weights another release; no tool of ours made these.
            toolchain={},
            source_digest=weights.digest,
            files=sealed_files(folder, [path.name for path in folder.iterdir()]),
        ).sealed()
        (folder / MANIFEST).write_text(manifest.to_json(), "utf-8")
        publish(folder, out / spec.name / Tier.GPU)
    return manifest


def _provenance(weights: Weights) -> Mapping[str, Any]:
    return {"origin": weights.origin, "size_bytes": weights.size}
