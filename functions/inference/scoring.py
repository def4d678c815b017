"""Language models that score texts: the log-probability of each token after those that stand before it.

The graph answers log-probabilities [1, tokens - 1] of `input_ids` [1, tokens]: the first token is what the others
follow, not scored itself, whether the tokenizer put it there or the text begins with it. A text longer than the model
reads at once is read in overlapping parts: every token is scored once, after at least half as many others as the model
can look at, so nothing is cut off.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import onnxruntime as ort
from tokenizers import Encoding, Tokenizer

from contracts.errors import ModelFailed, RequestProblem, pointer
from contracts.limits import LAMBDA_PAYLOAD_BYTES
from contracts.manifest import BrokenArtefact, Manifest
from contracts.prediction import PredictRequest
from functions.inference.generation import MODEL, TOKENIZER, plain_tokenizer
from functions.inference.model import Outputs, Parameters
from functions.inference.session import open_session
from functions.inference.tasks.reading import only_texts
from functions.inference.tokens import INPUTS, Feeds, encode

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from functions.inference.encoder import Forward

PER_TOKEN, POSITIONS = "per_token", "position_ids"
KNOWN = (*INPUTS, POSITIONS)
# What an output takes at most as JSON, where its tokens are not told.
OUTPUT_BYTES = 160
# Beyond this a perplexity is no number that a float holds.
MOST_NATS = 700.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Scorer:
    """A tokenizer, and a forward pass that ends in the log-probabilities of what it is fed."""

    tokenizer: Tokenizer
    forward: "Forward"
    input_names: tuple[str, ...]
    max_tokens: int
    providers: tuple[str, ...] = ()

    @classmethod
    def open(cls, folder: Path, manifest: Manifest, *, threads: int, device: str) -> Self:
        """Raises BrokenArtefact where the graph is not one that scores."""
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
        found = only_texts(request)
        for name, value in request.parameters.items():
            if name != PER_TOKEN:
                detail = f"unknown; this task knows {PER_TOKEN}"
            elif not isinstance(value, bool):
                detail = "must be true or false"
            else:
                continue
            found.append(RequestProblem(pointer=pointer("parameters", name), detail=detail))
        return found

    def most(self, parameters: Parameters) -> int | None:
        """None where each token is told: how long that becomes, only the texts tell."""
        return None if parameters.get(PER_TOKEN) else (LAMBDA_PAYLOAD_BYTES - 1024) // OUTPUT_BYTES

    def outputs(self, request: PredictRequest) -> Outputs:
        """One text after the other: none depends on its neighbours."""
        told = bool(request.parameters.get(PER_TOKEN, False))
        texts = [str(text) for text in request.inputs]
        encodings = encode(self.tokenizer, texts, offsets=told)
        return [self._output(e, told) for e in encodings]

    def _output(self, encoding: Encoding, told: bool) -> dict[str, Any]:
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
        if told:
            output["per_token"] = _per_token(encoding, scores)
        return output

    def scores(self, ids: Sequence[int]) -> list[float]:
        """The natural log-probability of every token but the first; none where there is nothing before any."""
        found: list[float] = []
        for start, end in parts(len(ids), self.max_tokens):
            row = self.forward(feeds(ids[start:end], self.input_names))[0]
            found += row[len(found) - start :].tolist()
        return found


def parts(tokens: int, most: int) -> Iterator[tuple[int, int]]:
    """Where each part of a text starts and ends: `most` tokens each, of which later ones share half with the last."""
    start, end = 0, min(tokens, most)
    while end - start > 1:
        yield start, end
        if end == tokens:
            return
        start = end - most // 2
        end = min(start + most, tokens)


def feeds(ids: Sequence[int], names: Sequence[str]) -> Feeds:
    """The session's inputs, each [1, tokens]; nothing is padded."""
    tokens: NDArray[np.int64] = np.array([ids], np.int64)
    return {name: _input(name, tokens) for name in names}


def _input(name: str, tokens: "NDArray[np.int64]") -> "NDArray[np.int64]":
    if name == POSITIONS:
        return np.arange(tokens.shape[1], dtype=np.int64)[None]
    if name == "attention_mask":
        return np.ones_like(tokens)
    return tokens if name == "input_ids" else np.zeros_like(tokens)


def perplexity(total: float, tokens: int) -> float | None:
    """exp of the mean loss per token; None where there is no token to have one."""
    return math.exp(min(-total / tokens, MOST_NATS)) if tokens else None


def _per_token(encoding: Encoding, scores: Sequence[float]) -> list[dict[str, Any]]:
    """Each scored token with its place in the text; what a tokenizer adds stands where the text before it ends."""
    told = []
    # Each of an encoding's lists is made anew whenever it is asked for.
    rows = list(zip(encoding.tokens, encoding.offsets, encoding.special_tokens_mask, strict=True))
    place = rows[0][1][1] if rows else 0
    for (token, (start, end), added), score in zip(rows[1:], scores, strict=True):
        if added:
            start = end = place
        place = end
        told.append({"token": token, "start": start, "end": end, "log_probability": score})
    return told


def _input_names(session: ort.InferenceSession) -> tuple[str, ...]:
    names = tuple(node.name for node in session.get_inputs())
    shape = session.get_outputs()[0].shape
    if not {"input_ids"} <= set(names) <= set(KNOWN) or len(shape) != 2:
        raise BrokenArtefact(
            f"{MODEL} takes {', '.join(names)} and answers {shape}, not log-probabilities "
            "[batch, tokens - 1]; build the model again"
        )
    return names
