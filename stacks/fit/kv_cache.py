"""The KV cache of vLLM: its bytes per token, and those of a request that is as long as it may be.

The numbers are those of vLLM's own specs of a cache (`vllm/v1/kv_cache_interface.py`, `vllm/v1/core/kv_cache_utils.py`,
0.32.0), with which they are compared in tests.
"""

from collections import Counter
from dataclasses import dataclass

from stacks.fit.shape import Shape

# Tokens of a block of the cache: vLLM's default on CUDA.
BLOCK = 16
# One block of the pool is the null block, which holds nothing.
NULL_BLOCKS = 1
# Groups of layers are as large as the largest kind where that is less than this times the smallest.
NEARLY_EQUAL = 1.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Cache:
    """The cache of one GPU: the bytes of a block of its pool, and the blocks of the longest request."""

    block_bytes: int
    blocks: int

    @property
    def request_bytes(self) -> int:
        """Return the bytes of the longest request."""
        return self.block_bytes * self.blocks

    def requests(self, free: int) -> int:
        """Return how many of the longest requests so many bytes hold at once."""
        return max(0, free // self.block_bytes - NULL_BLOCKS) // self.blocks


def token_bytes(shape: Shape, bytes_per_element: int, gpus: int = 1) -> int:
    """Return the bytes on each GPU of a token that every layer keeps."""
    return bytes_per_element * sum(
        count * layer.attention.kv_elements_at(gpus) for layer, count in shape.layers
    )


def cache_of(
    shape: Shape,
    bytes_per_element: int,
    gpus: int,
    *,
    context: int,
    in_flight: int,
    block: int = BLOCK,
) -> Cache:
    """Return the cache where requests have at most `context` tokens, and `in_flight` are being computed.

    Layers that slide keep their window and what is being computed. Where others attend to everything, vLLM puts layers
    of one kind into groups of equal size, each with blocks of its own from one pool.
    """
    kinds: Counter[int | None] = Counter()
    for layer, count in shape.layers:
        kinds[layer.window] += count
    fewest, most = min(kinds.values()), max(kinds.values())
    size = most if most < fewest * NEARLY_EQUAL else fewest
    page = block * bytes_per_element * shape.layers[0][0].attention.kv_elements_at(gpus)
    blocks = sum(
        -(-count // size) * _blocks(window, context, in_flight, block)
        for window, count in kinds.items()
    )
    return Cache(block_bytes=size * page, blocks=blocks)


def _blocks(window: int | None, context: int, in_flight: int, block: int) -> int:
    if window is None:
        return -(-context // block)
    kept = min(window - 1 + in_flight, context)
    # A window seldom starts where a block does.
    return -(-kept // block) + 1
