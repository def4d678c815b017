"""Models with an encoder, as two graphs.

The encoder returns the keys and values of the decoder's cross-attention, which depend on the text alone. The decoder
takes them beside its own cache. Each architecture computes them in its own way, so the whole model is traced for the
encoder's graph, of which the exporter keeps what these keys and values are computed from.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from build.export.torch_onnx.decoder import BATCH, CACHED, KINDS, TOKENS, TOTAL, cache_name
from build.export.torch_onnx.encoder import load
from build.export.torch_onnx.tracing import Axes, Feed, compare, example_ids, trace
from functions.inference.decoder import LOGITS, PAST, PRESENT
from functions.inference.seq2seq import MASK

AUTO_CLASS = "AutoModelForSeq2SeqLM"
# optimum's names of the two graphs.
ENCODER_GRAPH, DECODER_GRAPH = "encoder_model.onnx", "decoder_with_past_model.onnx"
READ = "encoder_sequence_length"
# Tokens of the text, tokens read by the decoder, tokens in its cache and rows of these: traced, and compared.
TRACED = (6, 3, 5, 1)
COMPARED = ((4, 2, 0, 1), (11, 1, 12, 3), (1, 4, 9, 1))


class _Encoder(torch.nn.Module):  # type: ignore[misc]
    """A model as a function from a text and its mask to keys and values of cross-attention, layer by layer."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return keys and values [batch, heads, tokens of the text, size]."""
        cache = _caches((), ())
        # One token is enough for the decoder to compute them; which one makes no difference.
        start = torch.zeros_like(ids[:, :1])
        feed = {"input_ids": ids, "attention_mask": mask, "decoder_input_ids": start}
        self.model(**feed, **{cache_name(self.model): cache}, use_cache=True, return_dict=True)
        return tuple(_tensors(cache.cross_attention_cache))


class _Decoder(torch.nn.Module):  # type: ignore[misc]
    """A model as a function of tokens, the text's mask, the cache, and the keys and values of cross-attention."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, ids: torch.Tensor, mask: torch.Tensor, *tensors: torch.Tensor
    ) -> tuple[torch.Tensor, ...]:
        """Return the logits [batch, tokens, vocabulary], and the cache with the tokens behind it."""
        half = len(tensors) // 2
        cache = _caches(tensors[:half], tensors[half:])
        # Cross-attention reads nothing of the encoder's output but its shape, as its keys are in the cache.
        hidden = torch.zeros((*mask.shape, self.model.config.hidden_size))
        feed = {"decoder_input_ids": ids, "attention_mask": mask, "encoder_outputs": (hidden,)}
        output = self.model(
            **feed, **{cache_name(self.model): cache}, use_cache=True, return_dict=True
        )
        return output.logits, *_tensors(cache.self_attention_cache)


def _caches(own: Sequence[torch.Tensor], cross: Sequence[torch.Tensor]) -> Any:
    from transformers import DynamicCache, EncoderDecoderCache

    pairs = (list(zip(t[::2], t[1::2], strict=True)) for t in (own, cross))
    return EncoderDecoderCache(*(DynamicCache(each) for each in pairs))


def _tensors(cache: Any) -> list[torch.Tensor]:
    return [tensor for layer in cache.layers for tensor in (layer.keys, layer.values)]


def export(folder: Path, destination: Path) -> None:
    """Write the model's two graphs to `destination`; raise Differs."""
    model = load(AUTO_CLASS, folder)
    encoder, decoder = _Encoder(model).eval(), _Decoder(model).eval()
    with torch.inference_mode():
        layers = len(encoder(*_text(model, 1).values())) // len(KINDS)
    own, cross, present = (
        [f"{start}{layer}.{part}.{kind}" for layer in range(layers) for kind in KINDS]
        for start, part in ((PAST, "decoder"), (PAST, "encoder"), (PRESENT, "decoder"))
    )
    text, keys = {0: BATCH, 1: READ}, {0: BATCH, 2: READ}
    axes: dict[str, Axes] = {
        "input_ids": text,
        "attention_mask": text,
        **dict.fromkeys(cross, keys),
    }
    path = destination / ENCODER_GRAPH
    trace(encoder, _text(model, TRACED[0]), cross, axes, path)
    compare(encoder, path, (_text(model, sizes[0]) for sizes in COMPARED))

    def feed(read: int, tokens: int, cached: int, rows: int) -> Feed:
        return _feed(model, encoder, own, cross, read, tokens, cached, rows)

    tokens = {0: BATCH, 1: TOKENS}
    axes = {"input_ids": tokens, MASK: text, LOGITS: tokens, **dict.fromkeys(cross, keys)}
    axes |= dict.fromkeys(own, {0: BATCH, 2: CACHED}) | dict.fromkeys(present, {0: BATCH, 2: TOTAL})
    path = destination / DECODER_GRAPH
    trace(decoder, feed(*TRACED), [LOGITS, *present], axes, path)
    compare(decoder, path, (feed(*sizes) for sizes in COMPARED))


def _text(model: Any, tokens: int) -> Feed:
    ids = example_ids(1, tokens, model.config.vocab_size)
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}


def _feed(
    model: Any,
    encoder: torch.nn.Module,
    own: Sequence[str],
    cross: Sequence[str],
    read: int,
    tokens: int,
    cached: int,
    rows: int,
) -> Feed:
    """Return rows that read one text, whose keys and values they share."""
    text = _text(model, read)
    with torch.inference_mode():
        given = encoder(*text.values())
    random = torch.Generator().manual_seed(cached)
    # A decoder's own keys have the shape of those of cross-attention, but for the number of tokens.
    past = {
        name: torch.randn((rows, like.shape[1], cached, like.shape[3]), generator=random)
        for name, like in zip(own, given, strict=True)
    }
    words = getattr(model.config, "decoder_vocab_size", None) or model.config.vocab_size
    ids = example_ids(rows, tokens, words)
    mask = text["attention_mask"].expand(rows, -1)
    keys = dict(zip(cross, (tensor.clone() for tensor in given), strict=True))
    return {"input_ids": ids, MASK: mask, **past, **keys}
