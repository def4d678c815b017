"""Models that continue a text: the prompt is read once, and each new token alone."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from tokenizers import Encoding, Tokenizer

from contracts.errors import RequestProblem
from contracts.manifest import BrokenArtefact, Manifest
from contracts.prediction import PredictRequest
from functions.inference.decoder import Cache, Decoder, DecoderLike
from functions.inference.detokenizer import Detokenizer
from functions.inference.generation_parameters import (
    FULL_TEXT,
    PARAMETERS,
    GenerationParameters,
    parse,
    problems,
)
from functions.inference.model import Outputs, Parameters
from functions.inference.sampling import Sampler, check_finite, log_sum_exp
from functions.inference.tasks.reading import only_texts

MODEL, TOKENIZER = "model.onnx", "tokenizer.json"
Followed = tuple[list[int], list[float]]
END, STOP, LENGTH, TIME = "eos_token", "stop_sequence", "length", "time"


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a manifest's `details` say of a model that writes.

    `context` is how many tokens it reads at most, `start` the token that an answer (or a prompt without any) begins
    with, `ends` are the tokens that end a text, and `new_tokens` is how many it is allowed to write.
    """

    context: int
    start: int
    ends: frozenset[int]
    new_tokens: int

    @classmethod
    def of(cls, details: Mapping[str, Any]) -> Self:
        """Raises BrokenArtefact where one is missing."""
        try:
            return cls(
                context=int(details["context"]),
                start=int(details["start_token_id"]),
                ends=frozenset(map(int, details["eos_token_ids"])),
                new_tokens=int(details["max_new_tokens"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise BrokenArtefact(
                f"the manifest does not say how the model writes ({error!r}); build the model again"
            ) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Generator:
    """A tokenizer, and a decoder that continues what it is given."""

    facts: Facts
    tokenizer: Tokenizer
    decoder: DecoderLike
    providers: tuple[str, ...] = ()

    @classmethod
    def open(cls, folder: Path, manifest: Manifest, *, threads: int, device: str) -> Self:
        """Raises BrokenArtefact where the graph or the manifest is not that of a model that writes."""
        facts = Facts.of(manifest.details)
        if not 0 < facts.new_tokens < facts.context:
            raise BrokenArtefact(
                f"{facts.new_tokens} new tokens leave no room in a context of {facts.context}; build the model again"
            )
        decoder = Decoder.open(folder / MODEL, threads=threads, device=device)
        return cls(
            facts=facts,
            tokenizer=plain_tokenizer(folder / TOKENIZER),
            decoder=decoder,
            providers=tuple(decoder.session.get_providers()),
        )

    def problems(self, request: PredictRequest) -> list[RequestProblem]:
        known = (*PARAMETERS, FULL_TEXT)
        return only_texts(request) + problems(request.parameters, self.facts.new_tokens, known)

    def most(self, parameters: Parameters) -> int | None:
        """None: how long a text becomes is known once it is written."""
        return None

    def outputs(self, request: PredictRequest) -> Outputs:
        """One text after the other: none depends on its neighbours."""
        wanted = parse(request.parameters, self.facts.new_tokens)
        return [self._output(str(text), wanted, request.deadline) for text in request.inputs]

    def _output(self, text: str, wanted: GenerationParameters, deadline: float) -> dict[str, Any]:
        prompt, truncated = self.prompt(text, self.facts.context - wanted.max_new_tokens)
        detokenizer = Detokenizer(self.tokenizer, wanted.stop, prompt)
        chooser = Sampler(wanted.sampling, prompt)
        cache = self.decoder.empty({})
        ends = StopCriteria(tokens=self.facts.ends, most=wanted.max_new_tokens, deadline=deadline)
        told = write(self.decoder, prompt, cache, chooser, detokenizer, ends)
        return {
            "generated_text": text + detokenizer.text if wanted.full_text else detokenizer.text,
            **told,
            "tokens": len(prompt),
            "truncated": truncated,
        }

    def prompt(self, text: str, most: int) -> tuple[list[int], bool]:
        return prompt_of(self.tokenizer.encode(text), most, self.facts.start)

    def follow(self, text: str, along: Sequence[int]) -> Followed:
        """As `follow`, where the tokens go on from the text."""
        prompt, _ = self.prompt(text, self.facts.context - len(along))
        return teacher_forced(self.decoder, prompt, self.decoder.empty({}), along)


def prompt_of(encoding: Encoding, most: int, start: int) -> tuple[list[int], bool]:
    """The text's tokens, and whether the first of them had to go; what a tokenizer puts in front stays."""
    ids: list[int] = encoding.ids or [start]
    if len(ids) <= most:
        return ids, False
    mask = encoding.special_tokens_mask
    lead = min(mask.index(0) if 0 in mask else 0, most - 1)
    return ids[:lead] + ids[len(ids) - most + lead :], True


def teacher_forced(
    decoder: DecoderLike, tokens: Sequence[int], cache: Cache, along: Sequence[int]
) -> Followed:
    """Read the tokens and then each of `along`: the likeliest token before each of them, and the natural logarithm of
    its own probability there.
    """
    ids, log_probabilities = [], []
    for token in along:
        logits, cache = decoder.read(tokens, cache)
        check_finite(logits)
        ids.append(int(logits.argmax()))
        log_probabilities.append(float(logits[token] - log_sum_exp(logits)))
        tokens = [token]
    return ids, log_probabilities


@dataclass(frozen=True, slots=True, kw_only=True)
class StopCriteria:
    """What ends a text besides a stop string: tokens, their number, and the time by `time.monotonic`."""

    tokens: frozenset[int]
    most: int
    deadline: float


def write(
    decoder: DecoderLike,
    tokens: Sequence[int],
    cache: Cache,
    chooser: Sampler,
    detokenizer: Detokenizer,
    ends: StopCriteria,
) -> dict[str, Any]:
    """Read the tokens, then write until something ends the text; how it ended, and after how many."""
    for count in range(1, ends.most + 1):
        if time.monotonic() > ends.deadline:
            return {"finish_reason": TIME, "generated_tokens": count - 1}
        logits, cache = decoder.read(tokens, cache)
        token = chooser.choose(logits)
        if token in ends.tokens:
            return {"finish_reason": END, "generated_tokens": count}
        if detokenizer.add(token):
            return {"finish_reason": STOP, "generated_tokens": count}
        tokens = [token]
    return {"finish_reason": LENGTH, "generated_tokens": ends.most}


def plain_tokenizer(path: Path) -> Tokenizer:
    """Without padding or truncation: how much is read depends on the request."""
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer
