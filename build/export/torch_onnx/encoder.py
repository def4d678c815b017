"""Encoders, and causal models without a cache: one graph from tokens to what the head of a task returns.

Batch and tokens are open axes, and texts may be padded on the right.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from build.export.torch_onnx.last_end import reading_last_end
from build.export.torch_onnx.tracing import Feed, compare, example_ids, trace
from contracts.manifest import MODEL
from functions.inference.token_batches import INPUTS

BATCH, TOKENS = "batch_size", "sequence_length"
# Texts and tokens of the batch that is traced, and of those that the graph is compared on; one is longer than the
# windows of local attention besides, where they are not so wide that this would take minutes.
TRACED = (2, 7)
COMPARED = ((1, 1), (3, 12), (2, 300))
# Settings of a model that let a token see only those near it.
LOCAL = ("sliding_window", "local_attention", "attention_window")
WIDEST_WINDOW, BEYOND = 1 << 10, 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """A task's head in transformers: the class that loads it, its outputs, and whether they are one for each token."""

    auto_class: str
    outputs: tuple[str, ...] = ("logits",)
    by_token: bool = True


# By optimum's names of what a graph computes.
HEADS: Mapping[str, Head] = {
    "feature-extraction": Head(auto_class="AutoModel", outputs=("last_hidden_state",)),
    "fill-mask": Head(auto_class="AutoModelForMaskedLM"),
    "question-answering": Head(
        auto_class="AutoModelForQuestionAnswering", outputs=("start_logits", "end_logits")
    ),
    "text-classification": Head(auto_class="AutoModelForSequenceClassification", by_token=False),
    "text-generation": Head(auto_class="AutoModelForCausalLM"),
    "token-classification": Head(auto_class="AutoModelForTokenClassification"),
}


# Makes of a mask [batch, tokens] what a model takes in its place.
MakeMask = Callable[[torch.Tensor], Any]


class _Encoder(torch.nn.Module):  # type: ignore[misc]
    """A model as a function of tensors, with a mask of our own making if there is one."""

    def __init__(
        self, model: Any, head: Head, names: tuple[str, ...], make_mask: MakeMask | None
    ) -> None:
        super().__init__()
        self.model, self.head, self.names, self.make_mask = model, head, names, make_mask

    def forward(self, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return the head's outputs, given the inputs in the order of their names."""
        feed = dict(zip(self.names, tensors, strict=True))
        if self.make_mask:
            feed["attention_mask"] = self.make_mask(feed["attention_mask"])
        output = self.model(**feed, return_dict=True)
        return tuple(output[name] for name in self.head.outputs)


def additive_mask(mask: torch.Tensor) -> torch.Tensor:
    """Return [batch, 1, tokens, tokens]: 0 where a token is read, the least number of float32 where it is padding."""
    masked = 1.0 - mask[:, None, None, :].expand(-1, 1, mask.shape[1], -1).to(torch.float32)
    return masked.masked_fill(masked.to(torch.bool), torch.finfo(torch.float32).min)


def export(folder: Path, destination: Path, task: str) -> None:
    """Write the model with the head of the task to `destination/model.onnx`; raise Differs."""
    path = destination / MODEL
    model = reading_last_end(load(HEADS[task].auto_class, folder))
    names = _input_names(model)
    module = _Encoder(model, HEADS[task], names, mask_of(model, names)).eval()
    opened = {0: BATCH, 1: TOKENS}
    ends = opened if HEADS[task].by_token else {0: BATCH}
    axes = {**dict.fromkeys(names, opened), **dict.fromkeys(HEADS[task].outputs, ends)}
    trace(module, _feed(model, names, *TRACED), HEADS[task].outputs, axes, path)
    compare(module, path, _feeds(model, names))


def load(auto_class: str, folder: Path) -> Any:
    """Return the folder's model in full precision, with attention as plain products of matrices."""
    import transformers

    return getattr(transformers, auto_class).from_pretrained(
        folder,
        local_files_only=True,
        use_safetensors=True,
        dtype=torch.float32,
        attn_implementation="eager",
    )


def _input_names(model: Any) -> tuple[str, ...]:
    """Return the inputs that the model takes: token types only if it has at least two.

    GPT-2 has none of its own: it would look token types up among its words.
    """
    names = [name for name in INPUTS if name in inspect.signature(model.forward).parameters]
    if "token_type_ids" in names and getattr(model.config, "type_vocab_size", 0) < 2:
        names.remove("token_type_ids")
    return tuple(names)


def mask_of(model: Any, names: tuple[str, ...]) -> MakeMask | None:
    """Return what makes the mask that the model is given in place of its own, None for a model that does not take it.

    Models that are written on transformers' own masks do. A causal or local mask would be lost, which shows in the
    answers, except where all texts are shorter than what a token sees. The form with [batch, 1, tokens, tokens] is that
    which ONNX Runtime's optimiser knows; the masks of both directions are those that torch cannot trace otherwise.
    """
    config = model.config
    make: MakeMask = additive_mask
    local = any(getattr(config, name, None) for name in LOCAL)
    if getattr(config, "use_bidirectional_attention", False):
        make = bidirectional_masks(config.sliding_window)
    elif local or getattr(config, "layer_types", None) or "attention_mask" not in names:
        return None
    feed = _feed(model, names, TRACED[0], max(TRACED[1], beyond_windows(config)))
    given = {**feed, "attention_mask": make(feed["attention_mask"])}
    with torch.inference_mode():
        expected = model(**feed, return_dict=False)[0]
        try:
            found = model(**given, return_dict=False)[0]
        except Exception:  # of model code, so of any type: it does not take such a mask
            return None
    same = found.shape == expected.shape and torch.allclose(found, expected, atol=1e-5)
    return make if same else None


def bidirectional_masks(window: int) -> MakeMask:
    """Return what makes the masks of Gemma 3's two kinds of layers, where tokens see those behind them as well.

    In layers with a window they see those that are less than `window` tokens away.
    """

    def masks(mask: torch.Tensor) -> dict[str, torch.Tensor]:
        places = torch.arange(mask.shape[1])
        far = ((places[:, None] - places[None, :]).abs() >= window)[None, None]
        full = additive_mask(mask)
        near = full.masked_fill(far, torch.finfo(torch.float32).min)
        return {"full_attention": full, "sliding_attention": near}

    return masks


def _feeds(model: Any, names: tuple[str, ...]) -> Iterator[Feed]:
    # Positions may begin behind that of the padding.
    limit = (getattr(model.config, "max_position_embeddings", None) or 1 << 20) - 4
    wide = beyond_windows(model.config)
    for texts, tokens in (*COMPARED, *([(1, wide)] if wide else [])):
        yield _feed(model, names, texts, min(tokens, limit))


def beyond_windows(config: Any) -> int:
    """Return more tokens than any layer with local attention sees; 0 without one, and where that is very wide."""
    windows = [getattr(config, name, None) for name in LOCAL]
    widest = max((window for window in windows if isinstance(window, int)), default=0)
    return widest + BEYOND if 0 < widest <= WIDEST_WINDOW else 0


def _feed(model: Any, names: tuple[str, ...], texts: int, tokens: int) -> Feed:
    """Return a batch whose texts get shorter, so that all but the first are padded."""
    config = model.config
    ids = example_ids(texts, tokens, config.vocab_size)
    lengths = torch.tensor([max(1, tokens - 3 * text) for text in range(texts)])
    if config.is_encoder_decoder:
        # Of which the classifier reads the end of a text.
        ids[torch.arange(texts), lengths - 1] = config.eos_token_id
    tensors = {
        "input_ids": ids,
        "attention_mask": (torch.arange(tokens)[None] < lengths[:, None]).to(torch.int64),
        "token_type_ids": ids % max(1, getattr(config, "type_vocab_size", 0)),
    }
    return {name: tensors[name] for name in names}
