"""Language models that score texts: the log-probability of each token given the tokens before it.

The graph returns log-probabilities [1, tokens - 1] of `input_ids` [1, tokens]: the first token has no score of its
own, whether the tokenizer put it there or the text begins with it. A text longer than the model's context is scored
in windows with a stride of half a context (https://huggingface.co/docs/transformers/perplexity): every token is scored
once, given at least half a context of tokens before it, so nothing is truncated.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import onnxruntime as ort
from tokenizers import Encoding, Tokenizer

from contracts.api.language_model_scoring import API, PER_TOKEN
from contracts.api.task_api import input_problems, parameter_problems
from contracts.http_errors import ModelFailed, RequestProblem
from contracts.limits import LAMBDA_PAYLOAD_BYTES
from contracts.manifest import MODEL, TOKENIZER, BrokenArtefact, Manifest
from contracts.prediction import PredictRequest
from functions.inference.model import Outputs, Parameters
from functions.inference.prompt.tokens import plain_tokenizer
from functions.inference.session import open_session
from functions.inference.token_batches import INPUTS, Feeds, encode

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from functions.inference.runtimes.open_graph import Forward

POSITIONS = "position_ids"
GRAPH_INPUTS = (*INPUTS, POSITIONS)
# The longest JSON of an output without `per_token`.
OUTPUT_BYTES = 160
# exp overflows a float64 above 709; a perplexity beyond this is reported as exp(700).
MAX_NATS = 700.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Scorer:
    """A tokenizer, and a forward pass that returns the log-probabilities of its own input."""

    tokenizer: Tokenizer
    forward: "Forward"
    input_names: tuple[str, ...]
    max_tokens: int
    providers: tuple[str, ...] = ()

    @classmethod
    def open(cls, folder: Path, manifest: Manifest, *, threads: int, device: str) -> Self:
        """Open an artefact; raise BrokenArtefact if its graph does not return log-probabilities of tokens."""
        session = open_session(folder / MODEL, threads=threads, device=device)
        names = _input_names(session)
        output = [session.get_outputs()[0].name]
        return cls(
            tokenizer=plain_tokenizer(folder / TOKENIZER),
            forward=lambda feeds: session.run(output, feeds)[0],
            input_names=names,
            max_tokens=manifest.max_tokens,
            providers=tuple(session.get_providers()),
        )

    def problems(self, request: PredictRequest) -> list[RequestProblem]:
        return [
            *input_problems(request.inputs, API.input),
            *parameter_problems(request.parameters, API.parameters),
        ]

    def max_outputs(self, parameters: Parameters) -> int | None:
        """Return how many outputs always fit one answer; None with `per_token`, where it depends on the texts."""
        return (
            None if PER_TOKEN.value(parameters) else (LAMBDA_PAYLOAD_BYTES - 1024) // OUTPUT_BYTES
        )

    def outputs(self, request: PredictRequest) -> Outputs:
        """Score one text after the other, so that none depends on its neighbours."""
        per_token = PER_TOKEN.value(request.parameters)
        texts = [str(text) for text in request.inputs]
        encodings = encode(self.tokenizer, texts, offsets=per_token)
        return [self._output(encoding, per_token) for encoding in encodings]

    def _output(self, encoding: Encoding, per_token: bool) -> dict[str, Any]:
        scores = self.scores(encoding.ids)
        total = math.fsum(scores)
        if not math.isfinite(total):
            raise ModelFailed("the model answered with numbers that are not finite")
        output: dict[str, Any] = {
            "log_probability": total,
            "perplexity": perplexity(total, len(scores)),
            "tokens": len(scores),
            "truncated": False,
        }
        if per_token:
            output["per_token"] = _per_token(encoding, scores)
        return output

    def scores(self, ids: Sequence[int]) -> list[float]:
        """Return the natural log-probability of every token but the first; an empty list for fewer than two tokens."""
        scores: list[float] = []
        for start, end in windows(len(ids), self.max_tokens):
            row = self.forward(feeds(ids[start:end], self.input_names))[0]
            # The tokens that two windows share were scored by the earlier one, where they had more context.
            scores += row[len(scores) - start :].tolist()
        return scores


def windows(tokens: int, max_tokens: int) -> Iterator[tuple[int, int]]:
    """Yield the start and end of each window over a text; each shares half a window with the one before."""
    start, end = 0, min(tokens, max_tokens)
    while end - start > 1:
        yield start, end
        if end == tokens:
            return
        start = end - max_tokens // 2
        end = min(start + max_tokens, tokens)


def feeds(ids: Sequence[int], names: Sequence[str]) -> Feeds:
    """Return the session's inputs, each [1, tokens], without padding."""
    tokens: NDArray[np.int64] = np.array([ids], np.int64)
    return {name: _input(name, tokens) for name in names}


def _input(name: str, tokens: "NDArray[np.int64]") -> "NDArray[np.int64]":
    if name == POSITIONS:
        return np.arange(tokens.shape[1], dtype=np.int64)[None]
    if name == "attention_mask":
        return np.ones_like(tokens)
    return tokens if name == "input_ids" else np.zeros_like(tokens)


def perplexity(total: float, tokens: int) -> float | None:
    """Return exp of the mean negative log-probability of a token; None for a text without scored tokens."""
    return math.exp(min(-total / tokens, MAX_NATS)) if tokens else None


def _per_token(encoding: Encoding, scores: Sequence[float]) -> list[dict[str, Any]]:
    """Return each scored token with its characters in the text; an added special token has none, after the last."""
    entries = []
    # The properties of an encoding copy its lists, so each is read once.
    rows = list(zip(encoding.tokens, encoding.offsets, encoding.special_tokens_mask, strict=True))
    place = rows[0][1][1] if rows else 0
    for (token, (start, end), special), score in zip(rows[1:], scores, strict=True):
        if special:
            start = end = place
        place = end
        entries.append({"token": token, "start": start, "end": end, "log_probability": score})
    return entries


def _input_names(session: ort.InferenceSession) -> tuple[str, ...]:
    """Return the graph's inputs; raise BrokenArtefact if the graph does not score tokens."""
    names = tuple(node.name for node in session.get_inputs())
    shape = session.get_outputs()[0].shape
    if not {"input_ids"} <= set(names) <= set(GRAPH_INPUTS) or len(shape) != 2:
        raise BrokenArtefact(
            f"{MODEL} takes {', '.join(names)} and returns {shape}, not log-probabilities "
            "[batch, tokens - 1]; build the model again"
        )
    return names
