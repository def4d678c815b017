"""The memory that a causal language model takes on the GPU of its tier, in float32 and one request at a time."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from build.sources import remote
from contracts.specs import GpuSpec, ModelSpec
from contracts.tasks import Task
from stacks.fit.config import Unsized
from stacks.fit.dtypes import Dtype
from stacks.fit.kv_cache import token_bytes
from stacks.fit.memory import GIB
from stacks.fit.model import Model, read_model
from stacks.fit.weights import elements
from stacks.instances import find_instance, gpus
from turnout.fit.source import describe

FLOAT32 = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuMemory:
    """The bytes of weights and of the KV cache of one request with `context` tokens, and those of the GPU.

    What ONNX Runtime takes for a run comes on top.
    """

    model: str
    instance: str
    gpu: str
    context: int
    weights: int
    kv_cache: int
    gpu_bytes: int

    @property
    def too_much(self) -> int:
        """Return the bytes that weights and KV cache are more than the GPU has; 0 if they are not."""
        return max(0, self.weights + self.kv_cache - self.gpu_bytes)

    def to_json(self) -> dict[str, Any]:
        return {
            "gpu": self.gpu,
            "context": self.context,
            "weights_bytes": self.weights,
            "kv_cache_bytes": self.kv_cache,
            "gpu_bytes": self.gpu_bytes,
            "too_much_bytes": self.too_much,
        }


def gpu_memory(model: ModelSpec, spec: GpuSpec, out: Path) -> GpuMemory | None:
    """Return the memory of a model that writes, whose config.json is on this machine and of a known architecture."""
    if model.task is not Task.TEXT_GENERATION:
        return None
    path = remote.located(spec.source or model.source, out)[0]
    found = _read(path) if path else None
    if found is None:
        return None
    gpu = find_instance(spec.instance).gpu
    context = min(spec.max_tokens or found.shape.context, found.shape.context)
    return GpuMemory(
        model=model.name,
        instance=spec.instance,
        gpu=gpu,
        context=context,
        weights=FLOAT32 * elements(found.shape),
        kv_cache=context * token_bytes(found.shape, FLOAT32),
        gpu_bytes=int(gpus()[gpu].memory_gib * GIB),
    )


def _read(path: Path) -> Model | None:
    """Return the model in a folder, None where its size is not told by what is there: a build says what it lacks."""
    try:
        return (
            read_model(describe(str(path)).config, dtype=Dtype.FLOAT32) if path.is_dir() else None
        )
    except (Unsized, OSError):
        return None


def shown_memory(found: GpuMemory) -> str:
    """Return a line of a tier's memory, in yellow where it is too much."""
    sizes = (
        f"weights in float32 {found.weights / GIB:.2f} GiB, KV cache of one request of {found.context:,} tokens "
        f"{found.kv_cache / GIB:.2f} GiB, of the {found.gpu_bytes / GIB:.2f} GiB of its {found.gpu}"
    )
    if not found.too_much:
        return f"{found.model} gpu: {sizes}"
    over = f"too much for its {found.instance} by {found.too_much / GIB:.2f} GiB"
    return f"[bold yellow]{found.model} gpu: {over}[/]: {sizes}"
