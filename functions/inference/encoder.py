"""Models that read whole texts at once: one forward pass for each text, pair or window."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import onnxruntime as ort
from tokenizers import Encoding, Tokenizer

from contracts.errors import ModelFailed, RequestProblem
from contracts.manifest import BrokenArtefact, Manifest
from contracts.prediction import PredictRequest
from functions.inference.model import Outputs, Parameters
from functions.inference.session import open_session
from functions.inference.tasks import head_of
from functions.inference.tasks.reading import Context, TaskHead
from functions.inference.tokens import INPUTS, Feeds, batches, encode, feed, open_tokenizer

if TYPE_CHECKING:
    from numpy.typing import NDArray

MODEL, TOKENIZER = "model.onnx", "tokenizer.json"
# A forward pass: [batch, tokens] inputs by name -> the graph's one output.
Forward = Callable[[Feeds], "NDArray[np.float32]"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoder:
    """A tokenizer, a forward pass, and the reader of its task."""

    manifest: Manifest
    tokenizer: Tokenizer
    forward: Forward
    input_names: tuple[str, ...]
    reader: TaskHead
    providers: tuple[str, ...] = ()

    @classmethod
    def open(cls, folder: Path, manifest: Manifest, *, threads: int, device: str) -> Self:
        """Raises BrokenArtefact where the graph is not what the manifest says."""
        session = open_session(folder / MODEL, threads=threads, device=device)
        reader = head_of(manifest.task)
        _check_output(session, reader, manifest)
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
        """The same over any forward pass, with the tokenizer of that file."""
        reader = head_of(manifest.task)
        tokenizer = open_tokenizer(
            tokenizer_json,
            manifest.max_tokens,
            truncation=reader.truncation,
            windows=reader.windows,
        )
        return cls(
            manifest=manifest,
            tokenizer=tokenizer,
            forward=forward,
            input_names=input_names,
            reader=reader,
            providers=providers,
        )

    def problems(self, request: PredictRequest) -> list[RequestProblem]:
        return self.reader.problems(request, self.manifest)

    def most(self, parameters: Parameters) -> int | None:
        return self.reader.most(self.manifest, parameters)

    def outputs(self, request: PredictRequest) -> Outputs:
        reader, parameters = self.reader, request.parameters
        asked = [reader.texts(value, parameters) for value in request.inputs]
        flat = [text for texts in asked for text in texts]
        encodings = encode(self.tokenizer, flat, offsets=reader.windows)
        parts = iter(self._parts(encodings))
        owned = [[part for _ in texts for part in next(parts)] for texts in asked]
        numbers = iter(self._numbers([part for own in owned for part in own]))
        context = Context(manifest=self.manifest, parameters=parameters, tokenizer=self.tokenizer)
        outputs = []
        for value, own in zip(request.inputs, owned, strict=True):
            output = reader.read(value, own, [next(numbers) for _ in own], context)
            output["tokens"] = sum(map(len, own))
            output["truncated"] = not reader.windows and any(part.overflowing for part in own)
            outputs.append(output)
        if reader.finish:
            reader.finish(outputs)
        return outputs

    def _parts(self, encodings: Sequence[Encoding]) -> list[list[Encoding]]:
        """What the model reads of each text: all of its windows, or the text as it was cut."""
        if not self.reader.windows:
            return [[encoding] for encoding in encodings]
        return [[encoding, *encoding.overflowing] for encoding in encodings]

    def _numbers(self, encodings: Sequence[Encoding]) -> list[Any]:
        """The model's numbers for each encoding, in order: a list, or an array [tokens, width]."""
        numbers: list[Any] = [None] * len(encodings)
        for batch in batches(encodings, together=self.manifest.batches):
            picked = [encodings[i] for i in batch]
            answer = self.forward(feed(picked, self.input_names, self.manifest))
            for i, row in zip(batch, self._rows(answer, picked), strict=True):
                numbers[i] = row
        return numbers

    def _rows(self, answer: "NDArray[np.float32]", encodings: Sequence[Encoding]) -> list[Any]:
        if "mask_id" in self.manifest.details:
            _check_finite(bool(np.isfinite(answer).all()))
            mask = self.manifest.details["mask_id"]
            counts = [encoding.ids.count(mask) for encoding in encodings]
            return np.split(answer, np.cumsum(counts)[:-1])
        if self.reader.rank == 2:
            rows: list[list[float]] = answer.tolist()
            # The sum of finite numbers is finite, and seen sooner than each of them.
            _check_finite(all(math.isfinite(sum(row)) for row in rows))
            return rows
        left = "pad_left" in self.manifest.details
        trimmed = [
            row[-len(e) :] if left else row[: len(e)]
            for row, e in zip(answer, encodings, strict=True)
        ]
        _check_finite(all(np.isfinite(row).all() for row in trimmed))
        return trimmed


def _check_finite(finite: bool) -> None:
    if not finite:
        raise ModelFailed("the model answered with numbers that are not finite")


def _check_output(session: ort.InferenceSession, reader: TaskHead, manifest: Manifest) -> None:
    """The graph has to answer with the task's axes; a size it leaves open is not checked."""
    shape, width = session.get_outputs()[0].shape, reader.width(manifest)
    if len(shape) != reader.rank or (isinstance(shape[-1], int) and shape[-1] != width):
        wanted = ["batch", "tokens", width] if reader.rank == 3 else ["batch", width]
        raise BrokenArtefact(
            f"{MODEL} answers {shape}, not {wanted} as its manifest has it; build the model again"
        )


def _input_names(session: ort.InferenceSession) -> tuple[str, ...]:
    names = tuple(node.name for node in session.get_inputs())
    unknown = [name for name in names if name not in INPUTS]
    if unknown:
        raise BrokenArtefact(
            f"{MODEL} asks for {', '.join(unknown)}; what it can be given is {', '.join(INPUTS)}"
        )
    return names
