"""A decoder that keeps the keys and values of what it has read, so that each new token is read once and alone.

The graph takes `past_key_values.N.key` and answers `present.N.key`. As optimum exports it, what it answers is a copy
with one more key, which goes back in as it is. A graph that asks how many tokens there are writes into the memory of
what it was given instead: that has room to spare, is bound once, and nothing of it is copied.
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
# What a graph that writes into its cache is told: the last token's place, and how many tokens there are with it.
BEFORE, TOTAL = "seqlens_k", "total_sequence_length"
# What a graph may ask for besides the cache; each is computed from the number of tokens.
INPUTS = ("input_ids", "attention_mask", "position_ids", BEFORE, TOTAL)
# Room in a cache comes in so many tokens at least, and doubles where it is not enough.
ROOM = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Cache:
    """Keys and values by the names of the inputs they are for; `fixed` ones stay as they are for a whole text.

    Where they are written in place, `bound` is what a run is given, and whoever reads on from an earlier cache
    overwrites what the later ones hold.
    """

    length: int
    values: Mapping[str, Any] = field(default_factory=dict)
    fixed: Mapping[str, Any] = field(default_factory=dict)
    bound: Any = None


class DecoderLike(Protocol):
    """What a text is written with: tokens in, the logits of what follows the last of them out."""

    def empty(self, fixed: Mapping[str, Any]) -> Cache: ...

    def read(self, tokens: Sequence[int], cache: Cache) -> "tuple[NDArray[np.float32], Cache]": ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoder:
    """One session. Nothing of it is changed by reading: what was read is in the cache that comes back."""

    session: ort.InferenceSession
    device: str
    inputs: tuple[str, ...]
    shapes: Mapping[str, tuple[int, int]]
    presents: tuple[str, ...]
    room: int = ROOM

    @classmethod
    def open(cls, model: Path, *, threads: int, device: str, fixed: Sequence[str] = ()) -> Self:
        """Raises BrokenArtefact for a graph without a cache; inputs in `fixed` are given for each text."""
        session = open_session(model, threads=threads, device=device)
        nodes = {node.name: node for node in session.get_inputs()}
        past = [name for name in nodes if name.startswith(PAST) and name not in fixed]
        inputs = [name for name in nodes if name not in past and name not in fixed]
        presents = [node.name for node in session.get_outputs() if node.name != LOGITS]
        if not past or {_past(name) for name in presents} != set(past) or set(inputs) - set(INPUTS):
            raise BrokenArtefact(
                f"{model.name} asks for {', '.join(nodes)}, which is no decoder with a cache; build the model again"
            )
        used = "cuda" if session.get_providers()[0].startswith("CUDA") else "cpu"
        return cls(
            session=session,
            device=used,
            inputs=tuple(inputs),
            shapes={name: (nodes[name].shape[1], nodes[name].shape[3]) for name in past},
            presents=tuple(presents),
        )

    @property
    def in_place(self) -> bool:
        """Whether the graph writes into its cache."""
        return TOTAL in self.inputs

    def empty(self, fixed: Mapping[str, Any]) -> Cache:
        """The cache of a text that is not begun."""
        if self.in_place:
            return self._with_room(Cache(length=0, fixed=fixed), 1)
        values = {
            name: ort.OrtValue.ortvalue_from_numpy(np.zeros((1, heads, 0, size), np.float32))
            for name, (heads, size) in self.shapes.items()
        }
        return Cache(length=0, values=values, fixed=fixed)

    def read(self, tokens: Sequence[int], cache: Cache) -> "tuple[NDArray[np.float32], Cache]":
        """The logits [vocabulary] after the last of the tokens, and the cache with all of them in it."""
        length = cache.length + len(tokens)
        feeds = self._feeds(tokens, cache.length)
        if self.in_place:
            return self._write_on(feeds, self._with_room(cache, length), length)
        binding = self.session.io_binding()
        for name, array in feeds.items():
            binding.bind_cpu_input(name, array)
        for name, value in (*cache.values.items(), *cache.fixed.items()):
            binding.bind_ortvalue_input(name, value)
        binding.bind_output(LOGITS, "cpu")
        for name in self.presents:
            binding.bind_output(name, self.device)
        self.session.run_with_iobinding(binding)
        logits, *presents = binding.get_outputs()
        values = dict(zip(map(_past, self.presents), presents, strict=True))
        return logits.numpy()[0], Cache(length=length, values=values, fixed=cache.fixed)

    def _write_on(
        self, feeds: "dict[str, NDArray[Any]]", cache: Cache, length: int
    ) -> "tuple[NDArray[np.float32], Cache]":
        binding = cache.bound
        for name, array in feeds.items():
            binding.bind_cpu_input(name, array)
        binding.bind_output(LOGITS, "cpu")
        self.session.run_with_iobinding(binding)
        logits: NDArray[np.float32] = binding.get_outputs()[-1].numpy()[0]
        return logits, replace(cache, length=length)

    def _with_room(self, cache: Cache, length: int) -> Cache:
        """The cache itself where that many tokens fit, or one twice as large with what is in it."""
        had = next(iter(cache.values.values())).shape()[2] if cache.values else 0
        if length <= had:
            return cache
        room = -(-max(length, 2 * had) // self.room) * self.room
        binding, values = self.session.io_binding(), {}
        for present in self.presents:
            name = _past(present)
            heads, size = self.shapes[name]
            array = np.zeros((1, heads, room, size), np.float32)
            if cache.values:
                array[:, :, : cache.length] = cache.values[name].numpy()[:, :, : cache.length]
            values[name] = ort.OrtValue.ortvalue_from_numpy(array)
            binding.bind_ortvalue_input(name, values[name])
            binding.bind_ortvalue_output(present, values[name])
        for name, value in cache.fixed.items():
            binding.bind_ortvalue_input(name, value)
        return replace(cache, values=values, bound=binding)

    def _feeds(self, tokens: Sequence[int], past: int) -> "dict[str, NDArray[Any]]":
        length = past + len(tokens)
        made: dict[str, NDArray[Any]] = {
            "input_ids": np.array([tokens], np.int64),
            "attention_mask": np.ones((1, length), np.int64),
            "position_ids": np.arange(past, length, dtype=np.int64)[None],
            BEFORE: np.array([length - 1], np.int32),
            TOTAL: np.array(length, np.int32),
        }
        return {name: made[name] for name in self.inputs}


def _past(present: str) -> str:
    return present.replace(PRESENT, PAST, 1)
