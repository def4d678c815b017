"""A decoder with a KV cache: each token is run once, and its keys and values are kept for the tokens after it.

The graph takes `past_key_values.N.key` and returns `present.N.key`. A graph as optimum exports it returns a copy of
the cache with the new keys appended, which becomes the next run's input. A graph with fused attention
(GroupQueryAttention) takes the number of tokens as well and writes the new keys into the buffer it was given. Such a
buffer has room for tokens to come, is bound to the session once, and is not copied.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np
import onnxruntime as ort

from contracts.manifest import BrokenArtefact
from functions.inference.session import open_session

if TYPE_CHECKING:
    from numpy.typing import NDArray

LOGITS, PAST, PRESENT = "logits", "past_key_values.", "present."
# The inputs of GroupQueryAttention that count tokens: the index of the last one, and how many there are in all.
# https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.GroupQueryAttention
LAST_INDEX, TOTAL = "seqlens_k", "total_sequence_length"
# All inputs that are no cache can be computed from the tokens and their number.
INPUTS = ("input_ids", "attention_mask", "position_ids", LAST_INDEX, TOTAL)
# The capacity of a buffer is a multiple of this many tokens. It doubles when it is full, so that a text of n tokens
# costs O(n) copied keys in all.
CACHE_BLOCK = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Cache:
    """Keys and values of the first `length` tokens, by the name of the graph's input.

    There may be several `rows`, each of another text with the same number of tokens. `fixed` holds inputs that stay the
    same for a whole text, such as the encoder's keys and values. `binding` is set where the graph writes in place: all
    caches of one text then share their buffers, and running on from an earlier cache overwrites what later ones hold.
    """

    length: int
    rows: int = 1
    values: Mapping[str, Any] = field(default_factory=dict)
    fixed: Mapping[str, Any] = field(default_factory=dict)
    binding: Any = None


class DecoderLike(Protocol):
    """A model that generates text token by token."""

    def empty_cache(self, fixed: Mapping[str, Any]) -> Cache: ...

    def run(self, tokens: Sequence[int], cache: Cache) -> "tuple[NDArray[np.float32], Cache]": ...

    def select(self, cache: Cache, rows: Sequence[int]) -> Cache: ...

    def run_rows(
        self, tokens: Sequence[int], cache: Cache
    ) -> "tuple[NDArray[np.float32], Cache]": ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoder:
    """A decoder's session. It has no state of its own: everything a text needs is in its cache.

    `shapes` are the heads and the size of a head by the name of a cache input, `presents` the names of the cache
    outputs, `block` the number of tokens by which a buffer grows. Of the inputs that stay the same, those `by_row` are
    wanted once for each row of the cache; the others are shared by all.
    """

    session: ort.InferenceSession
    device: str
    inputs: tuple[str, ...]
    shapes: Mapping[str, tuple[int, int]]
    presents: tuple[str, ...]
    block: int = CACHE_BLOCK
    by_row: tuple[str, ...] = ()

    @classmethod
    def open(
        cls,
        model: Path,
        *,
        threads: int,
        device: str,
        fixed: Sequence[str] = (),
        by_row: tuple[str, ...] = (),
    ) -> Self:
        """Open a graph; raise BrokenArtefact if it has no cache. `fixed` names the inputs that each text brings."""
        session = open_session(model, threads=threads, device=device)
        nodes = {node.name: node for node in session.get_inputs()}
        past = [name for name in nodes if name.startswith(PAST) and name not in fixed]
        inputs = [name for name in nodes if name not in past and name not in fixed]
        presents = [node.name for node in session.get_outputs() if node.name != LOGITS]
        if (
            not past
            or {_past_name(name) for name in presents} != set(past)
            or set(inputs) - set(INPUTS)
        ):
            raise BrokenArtefact(
                f"{model.name} takes {', '.join(nodes)}, which is no decoder with a cache; build the model again"
            )
        # ONNX Runtime falls back to the CPU without an error, so the provider in use decides where the cache lies.
        used = "cuda" if session.get_providers()[0].startswith("CUDA") else "cpu"
        return cls(
            session=session,
            device=used,
            inputs=tuple(inputs),
            # A cache input is [batch, heads, tokens, size of a head].
            shapes={name: (nodes[name].shape[1], nodes[name].shape[3]) for name in past},
            presents=tuple(presents),
            by_row=by_row,
        )

    @property
    def in_place(self) -> bool:
        """True if the graph writes into the cache it is given."""
        return TOTAL in self.inputs

    def empty_cache(self, fixed: Mapping[str, Any]) -> Cache:
        """Return the cache of a text of no tokens."""
        if self.in_place:
            return self._with_capacity(Cache(length=0, fixed=fixed), 1)
        values = {
            name: ort.OrtValue.ortvalue_from_numpy(np.zeros((1, heads, 0, size), np.float32))
            for name, (heads, size) in self.shapes.items()
        }
        return Cache(length=0, values=values, fixed=fixed)

    def run(self, tokens: Sequence[int], cache: Cache) -> "tuple[NDArray[np.float32], Cache]":
        """Return the logits [vocabulary] after the last of the tokens, and the cache with all of them in it."""
        logits, cache = self._run(np.array([tokens], np.int64), cache)
        return logits[0], cache

    def run_rows(self, tokens: Sequence[int], cache: Cache) -> "tuple[NDArray[np.float32], Cache]":
        """Return the logits [rows, vocabulary] after one more token of each row, and the cache with these tokens."""
        return self._run(np.array(tokens, np.int64)[:, None], cache)

    def select(self, cache: Cache, rows: Sequence[int]) -> Cache:
        """Return the cache whose rows are those rows of another, each as often as it is named.

        A cache that the graph writes in place is overwritten.
        """
        if list(rows) == list(range(cache.rows)):
            return cache
        chosen = list(rows)
        if self.in_place and len(chosen) == cache.rows:
            for value in cache.values.values():
                array = value.numpy()  # of the same memory
                array[:, :, : cache.length] = array[chosen, :, : cache.length]
            return cache
        values = {name: self._placed(v.numpy()[chosen]) for name, v in cache.values.items()}
        fixed = {
            name: ort.OrtValue.ortvalue_from_numpy(np.repeat(v.numpy()[:1], len(chosen), axis=0))
            if name in self.by_row
            else v
            for name, v in cache.fixed.items()
        }
        made = replace(cache, rows=len(chosen), values=values, fixed=fixed)
        return self._bound(made) if self.in_place else made

    def _placed(self, array: "NDArray[np.float32]") -> ort.OrtValue:
        """Return a copy of keys or values where the session computes."""
        return ort.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(array), self.device, 0)

    def _run(self, ids: "NDArray[np.int64]", cache: Cache) -> "tuple[NDArray[np.float32], Cache]":
        """Return the logits [rows, vocabulary] after ids [rows, tokens], and the cache with the ids in it."""
        length = cache.length + ids.shape[1]
        feeds = self._feeds(ids, cache.length)
        if self.in_place:
            return self._run_in_place(feeds, self._with_capacity(cache, length), length)
        binding = self.session.io_binding()
        for name, array in feeds.items():
            binding.bind_cpu_input(name, array)
        for name, value in (*cache.values.items(), *cache.fixed.items()):
            binding.bind_ortvalue_input(name, value)
        binding.bind_output(LOGITS, "cpu")
        # The cache stays on the device: only the logits of one position are copied back.
        for name in self.presents:
            binding.bind_output(name, self.device)
        self.session.run_with_iobinding(binding)
        logits, *presents = binding.get_outputs()
        values = dict(zip(map(_past_name, self.presents), presents, strict=True))
        return logits.numpy(), replace(cache, length=length, values=values)

    def _run_in_place(
        self, feeds: "dict[str, NDArray[Any]]", cache: Cache, length: int
    ) -> "tuple[NDArray[np.float32], Cache]":
        binding = cache.binding
        for name, array in feeds.items():
            binding.bind_cpu_input(name, array)
        binding.bind_output(LOGITS, "cpu")
        self.session.run_with_iobinding(binding)
        # The caches were bound first, and a name that is bound again keeps its place: the logits are last.
        logits: NDArray[np.float32] = binding.get_outputs()[-1].numpy()
        return logits, replace(cache, length=length)

    def _with_capacity(self, cache: Cache, length: int) -> Cache:
        """Return the cache itself if that many tokens fit, or a copy in buffers at least twice as large."""
        capacity = next(iter(cache.values.values())).shape()[2] if cache.values else 0
        if length <= capacity:
            return cache
        larger = -(-max(length, 2 * capacity) // self.block) * self.block
        values = {}
        for name, (heads, size) in self.shapes.items():
            array = np.zeros((cache.rows, heads, larger, size), np.float32)
            if cache.values:
                array[:, :, : cache.length] = cache.values[name].numpy()[:, :, : cache.length]
            values[name] = ort.OrtValue.ortvalue_from_numpy(array)
        return self._bound(replace(cache, values=values))

    def _bound(self, cache: Cache) -> Cache:
        """Return the cache with its buffers bound to the session."""
        binding = self.session.io_binding()
        for present in self.presents:
            value = cache.values[_past_name(present)]
            # One buffer is both input and output: the operator then appends instead of copying.
            binding.bind_ortvalue_input(_past_name(present), value)
            binding.bind_ortvalue_output(present, value)
        for name, value in cache.fixed.items():
            binding.bind_ortvalue_input(name, value)
        return replace(cache, binding=binding)

    def _feeds(self, ids: "NDArray[np.int64]", past: int) -> "dict[str, NDArray[Any]]":
        """Return the inputs that are no cache: ids [rows, tokens], after `past` tokens that are in it."""
        rows, length = len(ids), past + ids.shape[1]
        positions = np.arange(past, length, dtype=np.int64)[None]
        feeds: dict[str, NDArray[Any]] = {
            "input_ids": ids,
            "attention_mask": np.ones((rows, length), np.int64),
            "position_ids": np.repeat(positions, rows, axis=0),
            LAST_INDEX: np.full(rows, length - 1, np.int32),
            TOTAL: np.array(length, np.int32),
        }
        return {name: feeds[name] for name in self.inputs}


def _past_name(present: str) -> str:
    """Return the cache input that a cache output becomes in the next run."""
    return present.replace(PRESENT, PAST, 1)
