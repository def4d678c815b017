"""Causal decoders with a KV cache: one graph that reads the tokens of a prompt, or those after it.

Inputs and outputs have the names that optimum gives them: `past_key_values.N.key` goes in, `present.N.key` comes out.
"""

import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from build.export.torch_onnx.encoder import beyond_windows, load
from build.export.torch_onnx.tracing import Axes, Feed, compare, example_ids, trace
from contracts.manifest import MODEL
from functions.inference.decoder import LOGITS, PAST, PRESENT

AUTO_CLASS = "AutoModelForCausalLM"
BATCH, TOKENS, CACHED = "batch_size", "sequence_length", "past_sequence_length"
TOTAL = f"{CACHED} + {TOKENS}"
KINDS = ("key", "value")
# Tokens read, tokens in the cache and rows: of the run that is traced, and of those that the graph is compared on.
TRACED = (3, 5, 1)
COMPARED = ((7, 0, 1), (1, 12, 3), (4, 9, 1))


class _Decoder(torch.nn.Module):  # type: ignore[misc]
    """A model as a function of tensors: those of `names`, and then keys and values, layer by layer."""

    def __init__(self, model: Any, names: Sequence[str]) -> None:
        super().__init__()
        self.model, self.names = model, names

    def forward(self, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return the logits [batch, tokens, vocabulary], and the keys and values with those of the tokens behind."""
        from transformers import DynamicCache

        feed = dict(zip(self.names, tensors, strict=False))
        past = tensors[len(self.names) :]
        # Without a config, a cache keeps every token: what a layer does not see is masked.
        cache = DynamicCache(list(zip(past[::2], past[1::2], strict=True)))
        output = self.model(
            **feed, **{cache_name(self.model): cache}, use_cache=True, return_dict=True
        )
        return output.logits, *(t for layer in cache.layers for t in (layer.keys, layer.values))


def cache_name(model: Any) -> str:
    """Return the name of the model's argument that takes a cache."""
    parameters = inspect.signature(model.forward).parameters
    return next(name for name in ("cache", "past_key_values") if name in parameters)


def export(folder: Path, destination: Path) -> None:
    """Write the model to `destination/model.onnx`; raise Differs."""
    model, path = load(AUTO_CLASS, folder), destination / MODEL
    parameters = inspect.signature(model.forward).parameters
    own = ("input_ids", "attention_mask", "position_ids")
    names = [name for name in own if name in parameters]
    shapes = _cache_shapes(model)
    pasts, presents = (
        [f"{start}{layer}.{kind}" for layer in range(len(shapes)) for kind in KINDS]
        for start in (PAST, PRESENT)
    )
    axes: dict[str, Axes] = {
        **dict.fromkeys(names, {0: BATCH, 1: TOKENS}),
        "attention_mask": {0: BATCH, 1: TOTAL},
        LOGITS: {0: BATCH, 1: TOKENS},
        **dict.fromkeys(pasts, {0: BATCH, 2: CACHED}),
        **dict.fromkeys(presents, {0: BATCH, 2: TOTAL}),
    }
    module = _Decoder(model, names).eval()
    trace(module, _feed(model, names, shapes, *TRACED), [LOGITS, *presents], axes, path)
    wide = beyond_windows(model.config)
    sizes = (*COMPARED, *([(wide, 0), (1, wide)] if wide else []))
    compare(module, path, (_feed(model, names, shapes, *each) for each in sizes))


def _cache_shapes(model: Any) -> list[tuple[int, int]]:
    """Return the heads of a layer's keys and values and the size of a head, for each layer."""
    from transformers import DynamicCache

    cache = DynamicCache()
    with torch.inference_mode():
        model(input_ids=torch.tensor([[0]]), **{cache_name(model): cache}, use_cache=True)
    if not cache.layers:
        raise TypeError(
            f"{type(model).__name__} keeps no keys and values of the tokens it has read"
        )
    return [(layer.keys.shape[1], layer.keys.shape[3]) for layer in cache.layers]


def _feed(
    model: Any,
    names: Sequence[str],
    shapes: Sequence[tuple[int, int]],
    tokens: int,
    cached: int,
    rows: int,
) -> Feed:
    total = cached + tokens
    tensors = {
        "input_ids": example_ids(rows, tokens, model.config.vocab_size),
        "attention_mask": torch.ones((rows, total), dtype=torch.int64),
        "position_ids": torch.arange(cached, total)[None].expand(rows, -1),
    }
    random = torch.Generator().manual_seed(total)
    past = {
        f"{PAST}{layer}.{kind}": torch.randn((rows, heads, cached, size), generator=random)
        for layer, (heads, size) in enumerate(shapes)
        for kind in KINDS
    }
    return {**{name: tensors[name] for name in names}, **past}
