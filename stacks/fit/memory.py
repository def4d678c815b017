"""The memory of one GPU under vLLM: what weights, a pass and the rest take, and the KV cache that is left room for."""

from dataclasses import dataclass

from stacks.fit.kv_cache import Cache, cache_of
from stacks.fit.model import Model
from stacks.fit.shape import Shape
from stacks.fit.weights import absorbed_bytes, bytes_on_gpu
from stacks.instances import Gpu

GIB = 2**30
# vLLM's own default (0.32.0), the share of a GPU's memory that it takes.
UTILIZATION = 0.92
# For CUDA graphs, NCCL and the workspaces of kernels, which cannot be computed. An assumption, not a measurement.
RESERVE_GIB = 1.0
# Tokens of a pass: vLLM's defaults (0.32.0) for its server, the larger one for GPUs of 70 GiB that are no A100.
BATCHED, BATCHED_LARGE, LARGE_GIB, A100 = 2048, 8192, 70, 8.0
# Passes at once: asynchronous scheduling, vLLM's default on GPUs, prepares one while another runs.
BATCHES = 2
# Bytes of a logit while a token is sampled by top-p: itself in 16 bits and in float32, sorted as float32 with 64-bit
# indices, its probability, and the running sum.
LOGIT_BYTES = 2 + 4 + 4 + 8 + 4 + 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """The requests that are served at once, each of `context` tokens at most, and how much of a GPU may be used."""

    context: int
    concurrency: int
    utilization: float = UTILIZATION
    reserve_gib: float = RESERVE_GIB


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """The bytes of one GPU: those that vLLM may use, and what takes them before the KV cache does."""

    budget: int
    weights: int
    workspace: int
    reserve: int
    cache: Cache

    @property
    def free(self) -> int:
        """Return the bytes that are left for the KV cache; less than 0 if the rest alone is too much."""
        return self.budget - self.weights - self.workspace - self.reserve

    @property
    def requests(self) -> int:
        """Return how many requests of the longest kind run at once."""
        return self.cache.requests(self.free)

    @property
    def short(self) -> int:
        """Return the bytes that one request lacks; 0 if it fits."""
        needed = (self.cache.blocks + 1) * self.cache.block_bytes
        return max(0, needed - self.free)


def memory_on(model: Model, gpu: Gpu, gpus: int, load: Load, sequences: int) -> Memory:
    """Return the memory of each GPU of a copy that is split over `gpus` and runs so many sequences at once."""
    batched = batched_tokens(gpu)
    size = model.weights.bytes_per_element
    return Memory(
        budget=int(gpu.memory_gib * GIB * load.utilization),
        weights=bytes_on_gpu(model.shape, model.weights, gpus)
        + absorbed_bytes(model.shape, size, gpus),
        workspace=workspace(model.shape, size, gpus, batched=batched, sequences=sequences),
        reserve=int(load.reserve_gib * GIB),
        cache=cache_of(
            model.shape, model.kv_bytes, gpus, context=load.context, in_flight=BATCHES * batched
        ),
    )


def batched_tokens(gpu: Gpu) -> int:
    """Return the tokens of a pass, as vLLM chooses them by the GPU."""
    large = gpu.memory_gib >= LARGE_GIB and gpu.capability != A100
    return BATCHED_LARGE if large else BATCHED


def workspace(shape: Shape, size: int, gpus: int, *, batched: int, sequences: int) -> int:
    """Return the bytes of the largest tensors of a pass that live at once, and of the sampler's logits.

    An estimate by the sizes of tensors, not a measurement: a token's hidden state and residual, the widest of its
    layers' inner states with what is computed from them, and the logits of each sequence.
    """
    inner = max(
        max(3 * layer.feed_forward.active_width, 2 * layer.attention.width)
        for layer, _ in shape.layers
    )
    chosen = max(layer.feed_forward.chosen for layer, _ in shape.layers)
    token = size * (shape.hidden * (2 + chosen) + -(-inner // gpus))
    return batched * token + sequences * shape.vocabulary * LOGIT_BYTES
