"""The engine: a loaded artefact that answers requests, whatever family its model is of."""

import json
import math
import platform
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Self, cast

from contracts.http_errors import InvalidInput, TooLarge
from contracts.limits import LAMBDA_PAYLOAD_BYTES
from contracts.manifest import (
    CHAT_TEMPLATE,
    MODEL,
    TOKENIZER,
    BrokenArtefact,
    Manifest,
    kernels_in,
    verify,
    verify_file,
)
from contracts.prediction import MAX_PROBLEMS, PredictRequest, TierAnswer
from contracts.streaming import Delta
from contracts.tasks import Task
from functions.inference.model import BatchingModel, Model, Outputs, PreparedTexts, WritingModel

# As in `contracts.specs.CpuSpec`, a module that an edge copy does not have.
DEFAULT_MAX_INPUTS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """A request that was checked. Where a model runs several together, `texts` are tokenised already.

    Its outputs may need no check of their size, if it `always_fits` one answer.
    """

    request: PredictRequest
    texts: PreparedTexts | None
    always_fits: bool
    prepare_s: float

    @property
    def tokens(self) -> float:
        """Return the tokens to run; infinity for a model that takes one request at a time."""
        return self.texts.tokens if self.texts else math.inf


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """One artefact in memory. Predictions may run side by side; nothing is changed by them.

    `batching` is the model itself if it runs the texts of several requests together.
    """

    manifest: Manifest
    model: Model
    max_inputs: int
    batching: BatchingModel | None = None

    @classmethod
    def load(cls, folder: Path, **options: Any) -> Self:
        """Check every byte of a sealed folder, then open it; raise BrokenArtefact."""
        return cls.open(folder, verify(folder), **options)

    @classmethod
    def open(
        cls,
        folder: Path,
        manifest: Manifest,
        *,
        max_inputs: int = DEFAULT_MAX_INPUTS,
        threads: int = 1,
        device: str = "cpu",
    ) -> Self:
        """Open a folder whose manifest and files have been checked; raise BrokenArtefact.

        `device` is "cpu" or "cuda". ONNX Runtime falls back to the CPU without an error; `providers` shows the one
        in use.
        """
        model = _open_model(folder, manifest, threads=threads, device=device)
        batching = model if isinstance(model, BatchingModel) else None
        return cls(manifest=manifest, model=model, max_inputs=max_inputs, batching=batching)

    @property
    def providers(self) -> tuple[str, ...]:
        return self.model.providers

    def warmed_up(self) -> Self:
        """Take the memory of the largest batch before the first request, and measure what a pass costs.

        Models that take one request at a time are returned as they are.
        """
        if self.batching is None:
            return self
        model = self.batching.warmed_up()
        return replace(self, model=model, batching=model)

    def predict(self, request: PredictRequest) -> TierAnswer:
        """Answer every input, in order; raise TooLarge, InvalidInput or ModelFailed."""
        [(_, outcome)] = self.predict_together([self.prepare(request)])
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def stream(self, request: PredictRequest) -> Generator[Delta | TierAnswer, None, None]:
        """Return the deltas of every text as it is written, and last the answer, which is that of `predict`.

        Raise TooLarge or InvalidInput, also for a model that writes no text; the rest is raised behind what was written
        by then. To close the generator ends the work.
        """
        return self.written(self.prepare(replace(request, stream=True)))

    def written(self, prediction: Prediction) -> Generator[Delta | TierAnswer, None, None]:
        """Yield the deltas and the answer of a prediction whose request asks for a stream; raise as `predict` does."""
        model = cast(WritingModel, self.model)
        start = time.perf_counter()
        outputs = yield from model.stream(prediction.request)
        yield self._answer(prediction, outputs, start)

    def prepare(self, request: PredictRequest) -> Prediction:
        """Check the request, and tokenise its texts where those of several are run together.

        Raise TooLarge or InvalidInput.
        """
        start = time.perf_counter()
        if request.stream and not isinstance(self.model, WritingModel):
            raise InvalidInput(
                f"{self.manifest.model} writes no text, so its answer is not streamed"
            )
        if problems := self.model.problems(request):
            first = problems[0]
            raise InvalidInput(f"{first.pointer}: {first.detail}", problems=problems[:MAX_PROBLEMS])
        limit = self._check_count(request)
        texts = self.batching.prepare(request) if self.batching else None
        return Prediction(
            request=request,
            texts=texts,
            always_fits=limit is not None,
            prepare_s=time.perf_counter() - start,
        )

    def predict_together(
        self, predictions: Sequence[Prediction]
    ) -> Iterator[tuple[int, TierAnswer | Exception]]:
        """Yield the place of each prediction and its answer, or its error, as soon as its last text has run.

        A prediction that fails leaves the others as they are.
        """
        start = time.perf_counter()
        for place, outputs in self._outputs(predictions):
            prediction = predictions[place]
            try:
                if isinstance(outputs, Exception):
                    raise outputs
                outcome = self._answer(prediction, outputs, start)
            except Exception as error:
                yield place, error
            else:
                yield place, outcome

    def _answer(self, prediction: Prediction, outputs: Outputs, start: float) -> TierAnswer:
        """Return the answer of outputs that were begun at `start`; raise TooLarge."""
        if not prediction.always_fits:
            _check_answer(outputs)
        elapsed_s = prediction.prepare_s + time.perf_counter() - start
        return TierAnswer(
            outputs=tuple(outputs),
            version=self.manifest.version,
            elapsed_ms=round(elapsed_s * 1e3, 3),
        )

    def _outputs(
        self, predictions: Sequence[Prediction]
    ) -> Iterator[tuple[int, Outputs | Exception]]:
        if self.batching:
            yield from self.batching.outputs_together([each.texts for each in predictions])
            return
        for place, prediction in enumerate(predictions):
            try:
                yield place, self.model.outputs(prediction.request)
            except Exception as error:
                yield place, error

    def _check_count(self, request: PredictRequest) -> int | None:
        """Raise TooLarge for too many inputs; return how many outputs always fit one answer, None if that depends."""
        inputs = len(request.inputs)
        if inputs > self.max_inputs:
            raise TooLarge(
                f"{inputs} inputs are more than the {self.max_inputs} this tier takes at once"
            )
        limit = self.model.max_outputs(request.parameters)
        # Where the limit is known beforehand, a request that breaks it costs no inference.
        if limit is not None and inputs > limit:
            raise TooLarge(
                f"{inputs} outputs would pass the 6 MB of one answer; send at most {limit} inputs at once"
            )
        return limit


def _check_answer(outputs: list[dict[str, Any]]) -> None:
    """Raise TooLarge if the outputs as JSON are larger than a Lambda response may be."""
    # Escaped to ASCII, so characters are bytes, and no fewer than the runtime client sends, which escapes nothing.
    size = len(json.dumps(outputs))
    if size > LAMBDA_PAYLOAD_BYTES - 1024:
        raise TooLarge(f"the answer of {size} bytes would pass 6 MB; send fewer or shorter inputs")


def _open_model(folder: Path, manifest: Manifest, *, threads: int, device: str) -> Model:
    """Open the model with its task's family; the other families are not imported, which keeps a cold start short."""
    family: Callable[..., Model]
    needed: tuple[str, ...]
    match manifest.task:
        case Task.TEXT_GENERATION:
            from functions.inference.generation import Generator

            template = (CHAT_TEMPLATE,) if manifest.chat else ()
            family, needed = Generator.open, (MODEL, TOKENIZER, *template)
        case Task.TEXT2TEXT_GENERATION:
            from functions.inference.seq2seq import DECODER, ENCODER, Seq2Seq

            family, needed = Seq2Seq.open, (ENCODER, DECODER, TOKENIZER)
        case Task.WORD_VECTORS:
            from functions.inference.words.word_vectors import CONFIG, TABLE, WORDS, WordVectors

            family, needed = WordVectors.open, (MODEL, TABLE, WORDS, CONFIG)
        case Task.LANGUAGE_MODEL_SCORING:
            from functions.inference.scoring import Scorer

            family, needed = Scorer.open, (MODEL, TOKENIZER)
        case _:
            from functions.inference.encoder import Encoder

            family = partial(Encoder.open, kernels=_checked_kernels(folder, manifest))
            needed = (MODEL, TOKENIZER)
    # A file that is not sealed was not hashed, so it may be any other.
    _check_sealed(manifest, *needed)
    return family(folder, manifest, threads=threads, device=device)


def _checked_kernels(folder: Path, manifest: Manifest) -> Path | None:
    """Return the library of the graph's own operators, None without; raise BrokenArtefact unless each byte was sealed.

    It is hashed here, whatever was checked before, since its code runs with all rights of this process: some 0.2 ms.
    """
    library = kernels_in(folder)
    if library is None:
        if manifest.has_kernels:
            raise BrokenArtefact(
                "its operators are for Linux on x86-64 and arm64, and this machine is "
                f"{platform.system()} on {platform.machine()}; "
                "build the model with `kernels = false`"
            )
        return None
    _check_sealed(manifest, library.name)
    (sealed,) = (file for file in manifest.files if file.path == library.name)
    verify_file(library, sealed)
    return library


def _check_sealed(manifest: Manifest, *needed: str) -> None:
    """Raise BrokenArtefact if the manifest does not seal a file that will be opened."""
    missing = set(needed) - {file.path for file in manifest.files}
    if missing:
        names = " and ".join(sorted(missing))
        raise BrokenArtefact(f"the manifest does not seal {names}; build the model again")
