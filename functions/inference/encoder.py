"""Models that read a whole text at once: one forward pass for each text, pair of texts or window.

An output is `truncated` if its input had more tokens than the model reads; windows cover all of theirs.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import onnxruntime as ort
from tokenizers import Encoding, Tokenizer

from contracts.http_errors import DeadlineExceeded, ModelFailed, RequestProblem
from contracts.manifest import MODEL, TOKENIZER, BrokenArtefact, Manifest
from contracts.prediction import PredictRequest
from functions.inference.model import Outputs, Parameters
from functions.inference.session import open_session
from functions.inference.tasks import head_of
from functions.inference.tasks.conversation import CONVERSATION, with_ending
from functions.inference.tasks.head import Context, TaskHead
from functions.inference.token_batches import INPUTS, Feeds, batches, encode, feed, open_tokenizer

if TYPE_CHECKING:
    from numpy.typing import NDArray

# A forward pass: [batch, tokens] inputs by name -> the graph's one output.
Forward = Callable[[Feeds], "NDArray[np.float32]"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoder:
    """A tokenizer, a forward pass, and the head of the model's task."""

    manifest: Manifest
    tokenizer: Tokenizer
    forward: Forward
    input_names: tuple[str, ...]
    head: TaskHead
    providers: tuple[str, ...] = ()

    @classmethod
    def open(cls, folder: Path, manifest: Manifest, *, threads: int, device: str) -> Self:
        """Open an artefact; raise BrokenArtefact if its graph is not the one that the manifest describes."""
        session = open_session(folder / MODEL, threads=threads, device=device)
        _check_output(session, head_of(manifest.task), manifest)
        names = _input_names(session)
        output = [session.get_outputs()[0].name]
        return cls.over(
            lambda feeds: session.run(output, feeds)[0],
            folder / TOKENIZER,
            manifest,
            input_names=names,
            providers=tuple(session.get_providers()),
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
    ) -> Self:
        """Return an encoder over any forward pass, such as the reference model's, with the tokenizer of that file."""
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
        )

    def problems(self, request: PredictRequest) -> list[RequestProblem]:
        return self.head.problems(request, self.manifest)

    def max_outputs(self, parameters: Parameters) -> int | None:
        return self.head.max_outputs(self.manifest, parameters)

    def outputs(self, request: PredictRequest) -> Outputs:
        """Run all texts of the request, then turn the results of each input into its output."""
        head, parameters = self.head, request.parameters
        found = encodings_of(self.tokenizer, head, self.manifest, request)
        # One input may be several texts, and each of them several windows: all that belong to it, in order.
        owned = [[window for e in own for window in windows_of(e, head)] for own in found]
        windows = [window for own in owned for window in own]
        results = iter(self._run(windows, request.deadline))
        context = Context(manifest=self.manifest, parameters=parameters, tokenizer=self.tokenizer)
        outputs = []
        for value, own in zip(request.inputs, owned, strict=True):
            output = head.postprocess(value, own, [next(results) for _ in own], context)
            output["tokens"] = sum(map(len, own))
            # `overflowing` is the rest of a truncated text; with windows it is run as well.
            output["truncated"] = not head.windows and any(e.overflowing for e in own)
            outputs.append(output)
        if head.finish:
            head.finish(outputs)
        return outputs

    def _run(self, encodings: Sequence[Encoding], deadline: float) -> list[Any]:
        """Return the graph's output for each encoding, in order: a list, or an array [tokens, width].

        Raise DeadlineExceeded before the first batch that would begin after the deadline.
        """
        results: list[Any] = [None] * len(encodings)
        for batch in batches(encodings, together=self.manifest.batches):
            if time.monotonic() > deadline:
                raise DeadlineExceeded("nobody waits for this request any more")
            picked = [encodings[i] for i in batch]
            output = self.forward(feed(picked, self.input_names, self.manifest))
            for i, row in zip(batch, self._rows(output, picked), strict=True):
                results[i] = row
        return results

    def _rows(self, output: "NDArray[np.float32]", encodings: Sequence[Encoding]) -> list[Any]:
        """Split the output of one batch into its texts, without padding; raise ModelFailed unless all is finite."""
        if "mask_id" in self.manifest.details:
            # A fill-mask graph returns the logits of masked positions only: [masks of all texts, vocabulary].
            _check_finite(bool(np.isfinite(output).all()))
            mask = self.manifest.details["mask_id"]
            counts = [encoding.ids.count(mask) for encoding in encodings]
            return np.split(output, np.cumsum(counts)[:-1])
        if self.head.output_rank == 2:
            rows: list[list[float]] = output.tolist()
            # The sum of finite numbers is finite, and one check is faster than one for each of them.
            _check_finite(all(math.isfinite(sum(row)) for row in rows))
            return rows
        left = "pad_left" in self.manifest.details
        trimmed = [
            row[-len(e) :] if left else row[: len(e)]
            for row, e in zip(output, encodings, strict=True)
        ]
        _check_finite(all(np.isfinite(row).all() for row in trimmed))
        return trimmed


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


def _check_finite(finite: bool) -> None:
    if not finite:
        raise ModelFailed("the model answered with numbers that are not finite")


def _check_output(session: ort.InferenceSession, head: TaskHead, manifest: Manifest) -> None:
    """Raise BrokenArtefact unless the output has the task's axes; a size that the graph leaves open is not checked."""
    shape, width = session.get_outputs()[0].shape, head.output_width(manifest)
    if len(shape) != head.output_rank or (isinstance(shape[-1], int) and shape[-1] != width):
        expected = ["batch", "tokens", width] if head.output_rank == 3 else ["batch", width]
        raise BrokenArtefact(
            f"{MODEL} returns {shape}, not {expected} as its manifest has it; build the model again"
        )


def _input_names(session: ort.InferenceSession) -> tuple[str, ...]:
    """Return the graph's inputs; raise BrokenArtefact if one cannot be made from a text."""
    names = tuple(node.name for node in session.get_inputs())
    unknown = [name for name in names if name not in INPUTS]
    if unknown:
        raise BrokenArtefact(
            f"{MODEL} takes {', '.join(unknown)}; the inputs that a text gives are {', '.join(INPUTS)}"
        )
    return names
