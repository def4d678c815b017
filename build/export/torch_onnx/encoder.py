"""Encoders, and causal models without a cache: one graph from tokens to what the head of a task returns.

Batch and tokens are open axes, and texts may be padded on the right.
"""

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from build.export.torch_onnx.tracing import Feed, compare, example_ids, trace
from contracts.manifest import MODEL
from functions.inference.token_batches import INPUTS

BATCH, TOKENS = "batch_size", "sequence_length"
# Texts and tokens of the batch that is traced, and of those that the graph is compared on. The last is longer than the
# windows of local attention, which are up to 128 tokens.
TRACED = (2, 7)
COMPARED = ((1, 1), (3, 12), (2, 300))
# Settings of a model that let a token see only those near it.
LOCAL = ("sliding_window", "local_attention", "attention_window")


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


class _Encoder(torch.nn.Module):  # type: ignore[misc]
    """A model as a function of tensors.

    With `additive`, the mask [batch, tokens] is added to the scores of attention in the form that ONNX Runtime's
    optimiser knows, which is not the one that transformers makes of it.
    """

    def __init__(self, model: Any, head: Head, names: tuple[str, ...], additive: bool) -> None:
        super().__init__()
        self.model, self.head, self.names, self.additive = model, head, names, additive

    def forward(self, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return the head's outputs, given the inputs in the order of their names."""
        feed = dict(zip(self.names, tensors, strict=True))
        if self.additive:
            feed["attention_mask"] = additive_mask(feed["attention_mask"])
        output = self.model(**feed, return_dict=True)
        return tuple(output[name] for name in self.head.outputs)


def additive_mask(mask: torch.Tensor) -> torch.Tensor:
    """Return [batch, 1, tokens, tokens]: 0 where a token is read, the least number of float32 where it is padding."""
    masked = 1.0 - mask[:, None, None, :].expand(-1, 1, mask.shape[1], -1).to(torch.float32)
    return masked.masked_fill(masked.to(torch.bool), torch.finfo(torch.float32).min)


def export(folder: Path, destination: Path, task: str) -> None:
    """Write the model with the head of the task to `destination/model.onnx`; raise Differs."""
    model, path = load(HEADS[task].auto_class, folder), destination / MODEL
    names = _input_names(model)
    module = _Encoder(model, HEADS[task], names, additive=_takes_additive_mask(model, names)).eval()
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


def _takes_additive_mask(model: Any, names: tuple[str, ...]) -> bool:
    """Return whether the model uses a mask [batch, 1, tokens, tokens] as it is, instead of making its own.

    Models that are written on transformers' own masks do. A causal or local mask would be lost, which shows in the
    answers, except where all texts are shorter than what a token sees.
    """
    config = model.config
    local = any(getattr(config, name, None) for name in LOCAL)
    if "attention_mask" not in names or local or getattr(config, "layer_types", None):
        return False
    feed = _feed(model, names, *TRACED)
    given = {**feed, "attention_mask": additive_mask(feed["attention_mask"])}
    with torch.inference_mode():
        expected = model(**feed, return_dict=False)[0]
        try:
            found = model(**given, return_dict=False)[0]
        except Exception:  # of model code, so of any type: it does not take such a mask
            return False
    return bool(found.shape == expected.shape and torch.allclose(found, expected, atol=1e-5))


def _feeds(model: Any, names: tuple[str, ...]) -> Iterator[Feed]:
    # Positions may begin behind that of the padding.
    limit = (getattr(model.config, "max_position_embeddings", None) or 1 << 20) - 4
    for texts, tokens in COMPARED:
        yield _feed(model, names, texts, min(tokens, limit))


def _feed(model: Any, names: tuple[str, ...], texts: int, tokens: int) -> Feed:
    """Return a batch whose texts get shorter, so that all but the first are padded."""
    config = model.config
    ids = example_ids(texts, tokens, config.vocab_size)
    lengths = torch.tensor([max(1, tokens - 3 * text) for text in range(texts)])
    tensors = {
        "input_ids": ids,
        "attention_mask": (torch.arange(tokens)[None] < lengths[:, None]).to(torch.int64),
        "token_type_ids": ids % max(1, getattr(config, "type_vocab_size", 0)),
    }
    return {name: tensors[name] for name in names}
