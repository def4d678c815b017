"""Text generation with a decoder: the prompt is run once, then each new token alone, over the KV cache."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

from tokenizers import Tokenizer

from contracts.api.task_api import TaskApi
from contracts.api.text_generation import API
from contracts.http_errors import RequestProblem, TooLarge
from contracts.manifest import MODEL, TOKENIZER, BrokenArtefact, Manifest
from contracts.prediction import Input, PredictRequest
from contracts.streaming import Delta
from functions.inference.beam_search import BeamSearch, BeamSettings, Round
from functions.inference.decoder import Cache, Decoder, DecoderLike
from functions.inference.detokenizer import Detokenizer, clean_up
from functions.inference.generation_parameters import (
    GenerationDefaults,
    GenerationParameters,
    parse,
    problems,
)
from functions.inference.logits_processors import TokenHistory
from functions.inference.marian.pieces import PieceTokenizer
from functions.inference.model import Outputs, Parameters, Written
from functions.inference.prompt.template import ChatTemplate, chat_problems, encoded
from functions.inference.prompt.tokens import Prompt, plain_tokenizer, truncate_prompt
from functions.inference.sampling import Sampler, check_finite, log_sum_exp
from functions.inference.writing.deltas import deltas
from functions.inference.writing.steps import Steps, StopCriteria, generate, generate_best, result

# The argmax token at the position of each forced token, and the log-probability of the forced token there.
TeacherForced = tuple[list[int], list[float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationConfig:
    """The part of a manifest's `details` that generation needs.

    `context` is the model's maximum number of tokens, prompt and output together. `start` is the token that an output
    (or an empty prompt) begins with, `ends` are the tokens that end a text. `defaults` has the limit of
    `max_new_tokens` and the model's own settings, which apply where a request has none. With `clean_up`, spaces before
    punctuation are taken out of what is generated.
    """

    context: int
    start: int
    ends: frozenset[int]
    defaults: GenerationDefaults
    clean_up: bool = False

    @classmethod
    def from_details(cls, details: Mapping[str, Any]) -> Self:
        """Read the details; raise BrokenArtefact if one is missing."""
        try:
            return cls(
                context=int(details["context"]),
                start=int(details["start_token_id"]),
                ends=frozenset(map(int, details["eos_token_ids"])),
                defaults=GenerationDefaults(
                    max_new_tokens=int(details["max_new_tokens"]),
                    values=dict(details.get("generation_config", {})),
                ),
                clean_up=bool(details.get("clean_up", False)),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise BrokenArtefact(
                f"the manifest does not say how the model generates text ({error!r}); build the model again"
            ) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnSettings:
    """The effect of a model's own settings on a text: the number of new tokens, and how the first is chosen.

    `sampled` has the probability of each token of the vocabulary, and is None where the likeliest is taken.
    """

    new_tokens: int
    sampled: Sequence[float] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TextModel(ABC):
    """A tokenizer and a decoder that generates text from a prompt; a subclass makes the prompt from a text."""

    api: ClassVar[TaskApi]
    config: GenerationConfig
    tokenizer: Tokenizer | PieceTokenizer
    decoder: DecoderLike

    @abstractmethod
    def prompt(self, text: Input, room: int) -> Prompt:
        """Return the prompt of a text or a chat, which leaves room for so many tokens after it.

        Raise InvalidInput or TooLarge for a chat.
        """

    def problems(self, request: PredictRequest) -> list[RequestProblem]:
        return problems(request, self.api, self.config.defaults.max_new_tokens)

    def max_outputs(self, parameters: Parameters) -> int | None:
        """Return None: the length of a text is not known before it is generated."""
        return None

    def outputs(self, request: PredictRequest) -> Outputs:
        """Generate one text after the other, so that none depends on its neighbours."""
        parameters = parse(request.parameters, self.config.defaults)
        return [result(self._steps(text, parameters, request.deadline)) for text in request.inputs]

    def stream(self, request: PredictRequest) -> Written:
        """Generate as `outputs` does, and yield the deltas of each text; one that is searched for has one."""
        parameters = parse(request.parameters, self.config.defaults)
        outputs = []
        for index, text in enumerate(request.inputs):
            if parameters.full_text:
                yield Delta(index=index, text=str(text))
            steps = self._steps(text, parameters, request.deadline)
            outputs.append((yield from deltas(steps, index, cleaned=self.config.clean_up)))
        return outputs

    def _steps(self, text: Input, parameters: GenerationParameters, deadline: float) -> Steps:
        """Generate a text in steps, the first of which generates nothing; return its output."""
        prompt, count = self._limited(text, parameters.max_new_tokens)
        detokenizer = Detokenizer(self.tokenizer, parameters.stop, prompt.ids)
        criteria = StopCriteria(tokens=self.config.ends, max_new_tokens=count, deadline=deadline)
        yield detokenizer
        cache = self.decoder.empty_cache(prompt.fixed)
        if parameters.beams:
            rounds = self._search(prompt, parameters, count).rounds(self.decoder, cache, deadline)
            ending = yield from generate_best(rounds, detokenizer, criteria)
        else:
            sampler = self._sampler(parameters, prompt, count)
            ending = yield from generate(
                self.decoder, prompt.ids, cache, sampler, detokenizer, criteria
            )
        made = clean_up(detokenizer.text) if self.config.clean_up else detokenizer.text
        return {
            "generated_text": f"{text}{made}" if parameters.full_text else made,
            **ending,
            "tokens": prompt.tokens,
            "truncated": prompt.truncated,
        }

    def _limited(self, text: Input, asked: int | None) -> tuple[Prompt, int]:
        """Return the prompt, and the most tokens that follow it."""
        defaults = self.config.defaults
        if isinstance(text, str):
            # Without a wish of the request, a prompt leaves room for as many tokens as would follow the shortest.
            prompt = self.prompt(text, asked or defaults.new_tokens(1))
            return prompt, asked or defaults.new_tokens(len(prompt.ids))
        # A chat, which is not cut, leaves room for one.
        prompt = self.prompt(text, asked or 1)
        answer = defaults.new_tokens(len(prompt.ids), chat=True)
        return prompt, asked or min(answer, self.config.context - len(prompt.ids))

    def _sampler(self, parameters: GenerationParameters, prompt: Prompt, count: int) -> Sampler:
        return Sampler(parameters.sampling, self._history(prompt, count))

    def own_settings(self, text: Input, room: int) -> OwnSettings:
        """Return what a request without parameters gets after a prompt that leaves room for so many tokens."""
        defaults, prompt = self.config.defaults, self.prompt(text, room)
        parameters, sampled = parse({}, defaults), None
        if parameters.sampling.do_sample:
            logits, _ = self.decoder.run(prompt.ids, self.decoder.empty_cache(prompt.fixed))
            sampled = self._sampler(parameters, prompt, 1).probabilities(logits).tolist()
        return OwnSettings(new_tokens=defaults.new_tokens(len(prompt.ids)), sampled=sampled)

    def _history(self, prompt: Prompt, count: int) -> TokenHistory:
        ends = tuple(self.config.ends)
        return TokenHistory(prompt=prompt.ids, text=prompt.text, ends=ends, max_new_tokens=count)

    def _search(self, prompt: Prompt, parameters: GenerationParameters, count: int) -> BeamSearch:
        return BeamSearch(
            settings=parameters.beams or BeamSettings(beams=1),
            processors=parameters.sampling.changes,
            history=self._history(prompt, count),
        )

    def rounds(self, text: Input, count: int) -> Iterator[Round]:
        """Yield the beams after each of up to `count` tokens; a model that does not search has one."""
        prompt = self.prompt(text, count)
        search = self._search(prompt, parse({}, self.config.defaults), count)
        return search.rounds(self.decoder, self.decoder.empty_cache(prompt.fixed), float("inf"))

    def teacher_forced(self, text: Input, forced_tokens: Sequence[int]) -> TeacherForced:
        """Score the forced tokens as the answer to a text, each after those before it."""
        # The reference truncates its prompt by the same rule (`build.families.generators`).
        prompt = self.prompt(text, len(forced_tokens))
        cache = self.decoder.empty_cache(prompt.fixed)
        return teacher_forced(self.decoder, prompt.ids, cache, forced_tokens)


@dataclass(frozen=True, slots=True, kw_only=True)
class Generator(TextModel):
    """A causal decoder, which continues a text, or answers a chat if it has a template."""

    api = API
    tokenizer: Tokenizer
    chat: ChatTemplate | None = None
    providers: tuple[str, ...] = ()

    @classmethod
    def open(cls, folder: Path, manifest: Manifest, *, threads: int, device: str) -> Self:
        """Open an artefact; raise BrokenArtefact if its graph or its manifest is not that of a causal decoder."""
        config = GenerationConfig.from_details(manifest.details)
        new_tokens = config.defaults.max_new_tokens
        if not 0 < new_tokens < config.context:
            raise BrokenArtefact(
                f"{new_tokens} new tokens leave no room in a context of {config.context}; build the model again"
            )
        decoder = Decoder.open(folder / MODEL, threads=threads, device=device)
        return cls(
            config=config,
            tokenizer=plain_tokenizer(folder / TOKENIZER),
            decoder=decoder,
            chat=ChatTemplate.open(folder, manifest),
            providers=tuple(decoder.session.get_providers()),
        )

    def problems(self, request: PredictRequest) -> list[RequestProblem]:
        # Dataclasses with slots are made twice, and `super()` knows the first.
        return TextModel.problems(self, request) or list(chat_problems(request, self.chat))

    def prompt(self, text: Input, room: int) -> Prompt:
        """Return the last tokens of a text that fit the context with those that follow, or all of a chat.

        Raise InvalidInput for a chat that the template does not render, and TooLarge for one that does not fit.
        """
        encoding = encoded(self.tokenizer, text, self.chat)
        if not isinstance(text, str):
            return self._whole(encoding.ids or [self.config.start], room)
        ids, truncated = truncate_prompt(encoding, self.config.context - room, self.config.start)
        return Prompt(ids=ids, fixed={}, tokens=len(ids), truncated=truncated)

    def _whole(self, ids: list[int], room: int) -> Prompt:
        if len(ids) + room > self.config.context:
            raise TooLarge(
                f"the chat has {len(ids)} tokens, which with {room} more pass the {self.config.context} that the model "
                "reads and writes together; send fewer or shorter messages, or ask for fewer tokens"
            )
        return Prompt(ids=ids, fixed={}, tokens=len(ids), truncated=False)


def teacher_forced(
    decoder: DecoderLike, tokens: Sequence[int], cache: Cache, forced_tokens: Sequence[int]
) -> TeacherForced:
    """Run the tokens, then each forced one: return the argmax before each, and its own natural log-probability."""
    ids, log_probabilities = [], []
    for token in forced_tokens:
        logits, cache = decoder.run(tokens, cache)
        check_finite(logits)
        ids.append(int(logits.argmax()))
        log_probabilities.append(float(logits[token] - log_sum_exp(logits)))
        tokens = [token]
    return ids, log_probabilities
