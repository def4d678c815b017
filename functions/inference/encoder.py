"""Models that read a whole text at once: one forward pass for each text, pair of texts or window.

An output is `truncated` if its input had more tokens than the model reads; windows cover all of theirs.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Self

from tokenizers import Encoding, Tokenizer

from contracts.http_errors import DeadlineExceeded, RequestProblem
from contracts.manifest import MODEL, TOKENIZER, BrokenArtefact, Manifest
from contracts.prediction import PredictRequest
from contracts.tasks import Tier
from functions.inference.batching.division import COSTS, Costs, batches
from functions.inference.batching.rows import rows_of
from functions.inference.batching.side_by_side import ONE_LANE, Lanes, lanes_of
from functions.inference.model import Outputs, Parameters
from functions.inference.runtimes.open_graph import Forward, Shape
from functions.inference.runtimes.openers import opener_of
from functions.inference.tasks import head_of
from functions.inference.tasks.conversation import CONVERSATION, with_ending
from functions.inference.tasks.head import Context, TaskHead
from functions.inference.token_batches import (
    BATCH_TOKENS,
    INPUTS,
    Running,
    Texts,
    encode,
    feed,
    filled,
    open_tokenizer,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoder:
    """A tokenizer, a forward pass, and the head of the model's task."""

    manifest: Manifest
    tokenizer: Tokenizer
    forward: Forward
    input_names: tuple[str, ...]
    head: TaskHead
    lanes: Lanes = ONE_LANE
    providers: tuple[str, ...] = ()
    costs: Costs = COSTS

    @classmethod
    def open(
        cls,
        folder: Path,
        manifest: Manifest,
        *,
        threads: int,
        device: str,
        kernels: Path | None = None,
    ) -> Self:
        """Open an artefact; raise BrokenArtefact if its graph is not the one that the manifest describes.

        `kernels` is the checked library of the graph's own operators.
        """
        # The container binds on a laptop's processor as well, so that it is the same code. A function does not: to bind
        # takes 0.07 ms (AMD EPYC, 2026-11-26), and there is no other memory that it could spare a copy to.
        bind = manifest.tier is Tier.GPU
        opened = partial(
            opener_of(manifest.runtime), folder / MODEL, device=device, bind=bind, kernels=kernels
        )
        start = time.perf_counter()
        graph = opened(threads=threads)
        opening_s = time.perf_counter() - start
        _check_output(graph.shape, head_of(manifest.task), manifest)
        _check_inputs(graph.input_names)
        return cls.over(
            graph.forward,
            folder / TOKENIZER,
            manifest,
            input_names=graph.input_names,
            providers=graph.providers,
            costs=Costs(padded=graph.padded),
            lanes=lanes_of(
                threads if device == "cpu" else 1,
                lambda cores: opened(threads=1, at_once=cores).forward,
                opening_s=opening_s,
                size=manifest.size,
            ),
        )

    @classmethod
    def over(
        cls,
        forward: Forward,
        tokenizer_json: Path,
        manifest: Manifest,
        *,
        input_names: tuple[str, ...],
        providers: tuple[str, ...] = (),
        lanes: Lanes = ONE_LANE,
        costs: Costs = COSTS,
    ) -> Self:
        """Return an encoder over any forward pass, such as the reference model's, with the tokenizer of that file.

        Batches are run one after the other unless there are `lanes` for them.
        """
        head = head_of(manifest.task)
        tokenizer = open_tokenizer(
            tokenizer_json, manifest.max_tokens, truncation=head.truncation, windows=head.windows
        )
        return cls(
            manifest=manifest,
            tokenizer=tokenizer,
            forward=forward,
            input_names=input_names,
            head=head,
            providers=providers,
            lanes=lanes,
            costs=costs,
        )

    def problems(self, request: PredictRequest) -> list[RequestProblem]:
        return self.head.problems(request, self.manifest)

    def max_outputs(self, parameters: Parameters) -> int | None:
        return self.head.max_outputs(self.manifest, parameters)

    def outputs(self, request: PredictRequest) -> Outputs:
        """Run all texts of the request, then turn the results of each input into its output."""
        [(_, outcome)] = self.outputs_together([self.prepare(request)])
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def prepare(self, request: PredictRequest) -> Texts:
        """Return the request's texts as the model reads them; raise InvalidInput."""
        found = encodings_of(self.tokenizer, self.head, self.manifest, request)
        # One input may be several texts, and each of them several windows: all that belong to it, in order.
        owned = tuple(tuple(w for e in own for w in windows_of(e, self.head)) for own in found)
        return Texts(request=request, owned=owned)

    def outputs_together(
        self, requests: Sequence[Texts]
    ) -> Iterator[tuple[int, Outputs | Exception]]:
        """Run the texts of all requests, sorted by length, in as few batches as their tokens allow.

        Yield the place of each request and its outputs once its last text has run, or its error: a request that fails
        leaves the others as they are. No batch begins for a request whose deadline is over.
        """
        work = [Running(each) for each in requests]
        texts = [(place, i) for place, one in enumerate(work) for i in range(len(one.encodings))]
        encodings = [work[place].encodings[i] for place, i in texts]
        found = batches(
            encodings,
            together=self.manifest.batches,
            costs=self.costs,
            cores=self.lanes.cores,
        )
        lengths = [len(encoding) for encoding in encodings]
        costs = [self.costs.of_batch(batch, lengths) for batch in found]

        def run(number: int, forward: Forward) -> list[tuple[int, int, Any]]:
            return self._run(work, [texts[i] for i in found[number]], forward)

        answered: set[int] = set()
        for _, results in self.lanes.run(self.forward, costs, run):
            for place, i, row in results:
                work[place].add(i, row)
            ended = {place for place, _, _ in results if work[place].done} - answered
            for place in sorted(ended):
                yield place, self._outcome(work[place])
            answered |= ended

    def warmed_up(self) -> Self:
        """Run the largest batch and a small one; return the encoder with what a pass costs, in tokens.

        The memory that a batch needs is there then before the first request.
        """
        names = self.input_names
        large, small = filled(names, self.manifest, BATCH_TOKENS), filled(names, self.manifest, 8)
        times = []
        for feeds in (large, small):
            # The first run of a shape takes memory and chooses kernels.
            self.forward(feeds)
            start = time.perf_counter()
            self.forward(feeds)
            times.append(time.perf_counter() - start)
        sizes = [feeds["input_ids"].size for feeds in (large, small)]
        per_token = max((times[0] - times[1]) / max(sizes[0] - sizes[1], 1), 1e-9)
        run = max(0, round(times[1] / per_token) - sizes[1])
        return replace(self, costs=replace(self.costs, run=run))

    def _run(
        self, work: Sequence[Running], texts: Sequence[tuple[int, int]], forward: Forward
    ) -> list[tuple[int, int, Any]]:
        """Run one batch, each text by the place of its request and its own; return both, and its result or error.

        Of a request that has failed nothing more is run, nor of one that nobody waits for.
        """
        now = time.monotonic()
        places = {place for place, _ in texts if work[place].error is None}
        late = {place for place in places if now > work[place].texts.request.deadline}
        missed = DeadlineExceeded("nobody waits for this request any more")
        results: list[tuple[int, int, Any]] = [(p, i, missed) for p, i in texts if p in late]
        picked = [text for text in texts if text[0] in places - late]
        return [*results, *self._results(work, picked, forward)]

    def _results(
        self, work: Sequence[Running], texts: Sequence[tuple[int, int]], forward: Forward
    ) -> list[tuple[int, int, Any]]:
        """Run the texts, and return the result or the error of each."""
        if not texts:
            return []
        encodings = [work[place].encodings[i] for place, i in texts]
        try:
            output = forward(feed(encodings, self.input_names, self.manifest))
            rows = rows_of(output, encodings, self.head, self.manifest)
        except Exception as error:  # the errors of runtimes have no base class of their own
            places = sorted({place for place, _ in texts})
            if len(places) == 1:
                return [(place, i, error) for place, i in texts]
            # One request may be at fault for all, so each is run alone.
            alone = [[text for text in texts if text[0] == place] for place in places]
            return [each for own in alone for each in self._results(work, own, forward)]
        return [(place, i, row) for (place, i), row in zip(texts, rows, strict=True)]

    def _outcome(self, work: Running) -> Outputs | Exception:
        """Return the outputs of a request whose texts have all run, or its error."""
        if work.error is not None:
            return work.error
        try:
            return self._finish(work)
        except Exception as error:
            return error

    def _finish(self, work: Running) -> Outputs:
        head, request = self.head, work.texts.request
        context = Context(
            manifest=self.manifest, parameters=request.parameters, tokenizer=self.tokenizer
        )
        results = iter(work.results)
        outputs = []
        for value, own in zip(request.inputs, work.texts.owned, strict=True):
            output = head.postprocess(value, own, [next(results) for _ in own], context)
            output["tokens"] = sum(map(len, own))
            # `overflowing` is the rest of a truncated text; with windows it is run as well.
            output["truncated"] = not head.windows and any(e.overflowing for e in own)
            outputs.append(output)
        if head.finish:
            head.finish(outputs)
        return outputs


def encodings_of(
    tokenizer: Tokenizer, head: TaskHead, manifest: Manifest, request: PredictRequest
) -> list[list[Encoding]]:
    """Return the encodings of the texts of each input, in order."""
    texts = [head.texts(value, request.parameters, manifest) for value in request.inputs]
    flat, conversation = [text for own in texts for text in own], CONVERSATION in manifest.details
    encodings = encode(tokenizer, flat, offsets=head.windows, special=not conversation)
    if conversation:
        encodings = with_ending(encodings, tokenizer, manifest, request.parameters)
    each = iter(encodings)
    return [[next(each) for _ in own] for own in texts]


def windows_of(encoding: Encoding, head: TaskHead) -> list[Encoding]:
    """Return what is run for a text: all of its windows, or the one truncated text."""
    return [encoding, *encoding.overflowing] if head.windows else [encoding]


def _check_output(shape: Shape, head: TaskHead, manifest: Manifest) -> None:
    """Raise BrokenArtefact unless the output has the task's axes; a size that the graph leaves open is not checked."""
    width = head.output_width(manifest)
    if len(shape) != head.output_rank or (isinstance(shape[-1], int) and shape[-1] != width):
        expected = ["batch", "tokens", width] if head.output_rank == 3 else ["batch", width]
        raise BrokenArtefact(
            f"{MODEL} returns {list(shape)}, not {expected} as its manifest has it; build the model again"
        )


def _check_inputs(names: Sequence[str]) -> None:
    """Raise BrokenArtefact if an input of the graph cannot be made from a text."""
    unknown = [name for name in names if name not in INPUTS]
    if unknown:
        raise BrokenArtefact(
            f"{MODEL} takes {', '.join(unknown)}; the inputs that a text gives are {', '.join(INPUTS)}"
        )
