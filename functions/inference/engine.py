"""A loaded artefact that answers requests."""

import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import onnxruntime as ort
from tokenizers import Encoding, Tokenizer

from contracts.errors import ModelFailed, TooLarge
from contracts.manifest import BrokenArtefact, Manifest, verify
from contracts.prediction import PredictRequest, TierAnswer
from functions.inference.session import open_session
from functions.inference.tasks import MOST, READ, Rows, check_parameters
from functions.inference.tokens import INPUTS, batches, encode, feed, open_tokenizer

DEFAULT_MAX_INPUTS = 64
MODEL, TOKENIZER = "model.onnx", "tokenizer.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """One artefact in memory. Predictions may run side by side; nothing is changed by them."""

    manifest: Manifest
    tokenizer: Tokenizer
    session: ort.InferenceSession
    input_names: tuple[str, ...]
    max_inputs: int

    @classmethod
    def load(cls, folder: Path, **options: Any) -> Self:
        """Open the sealed folder, after every byte of it was checked; raises BrokenArtefact."""
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
        """Open a folder that `verify` found to be what the manifest says; raises BrokenArtefact.

        `device` is "cpu" or "cuda"; whether CUDA is really used, `providers` tells.
        """
        _check_sealed(manifest)
        session = open_session(folder / MODEL, threads=threads, device=device)
        _check_rows(session, manifest)
        return cls(
            manifest=manifest,
            tokenizer=open_tokenizer(folder / TOKENIZER, manifest.max_tokens),
            session=session,
            input_names=_input_names(session),
            max_inputs=max_inputs,
        )

    @property
    def providers(self) -> tuple[str, ...]:
        return tuple(self.session.get_providers())

    def predict(self, request: PredictRequest) -> TierAnswer:
        """Answer every input, in order; raises TooLarge, InvalidInput or ModelFailed."""
        start = time.perf_counter()
        check_parameters(self.manifest, request.parameters)
        self._check_size(request)
        outputs = self._outputs(request)
        return TierAnswer(
            outputs=tuple(outputs),
            version=self.manifest.version,
            elapsed_ms=round((time.perf_counter() - start) * 1e3, 3),
        )

    def _check_size(self, request: PredictRequest) -> None:
        inputs = len(request.inputs)
        if inputs > self.max_inputs:
            raise TooLarge(
                f"{inputs} inputs are more than the {self.max_inputs} this tier takes at once"
            )
        most = MOST[self.manifest.task](self.manifest, request.parameters)
        if inputs > most:
            raise TooLarge(
                f"{inputs} outputs would pass the 6 MB of one answer; send at most {most} inputs at once"
            )

    def _outputs(self, request: PredictRequest) -> list[dict[str, Any]]:
        encodings = encode(self.tokenizer, request.inputs)
        outputs: list[dict[str, Any]] = [{}] * len(encodings)
        read = READ[self.manifest.task]
        for batch in batches(encodings, together=self.manifest.precision != "int8"):
            rows = self._run([encodings[i] for i in batch])
            for i, output in zip(batch, read(rows, self.manifest, request.parameters), strict=True):
                output["tokens"] = len(encodings[i])
                output["truncated"] = bool(encodings[i].overflowing)
                outputs[i] = output
        return outputs

    def _run(self, encodings: list[Encoding]) -> Rows:
        answer = self.session.run(None, feed(encodings, self.input_names, self.manifest))[0]
        rows: Rows = answer.tolist()
        # The sum of finite numbers is finite, and seen sooner than each of them.
        if not all(math.isfinite(sum(row)) for row in rows):
            raise ModelFailed("the model answered with numbers that are not finite")
        return rows


def _check_sealed(manifest: Manifest) -> None:
    missing = {MODEL, TOKENIZER} - {file.path for file in manifest.files}
    if missing:
        names = " and ".join(sorted(missing))
        raise BrokenArtefact(f"the manifest does not seal {names}; build the model again")


def _check_rows(session: ort.InferenceSession, manifest: Manifest) -> None:
    """The graph has to answer [batch, labels] or [batch, dimensions]; a size it leaves open is not checked."""
    shape = session.get_outputs()[0].shape
    width = len(manifest.labels) or manifest.dimensions
    if len(shape) != 2 or (isinstance(shape[1], int) and shape[1] != width):
        raise BrokenArtefact(
            f"{MODEL} answers {shape}, not [batch, {width}] as its manifest has it; build the model again"
        )


def _input_names(session: ort.InferenceSession) -> tuple[str, ...]:
    names = tuple(node.name for node in session.get_inputs())
    unknown = [name for name in names if name not in INPUTS]
    if unknown:
        raise BrokenArtefact(
            f"{MODEL} asks for {', '.join(unknown)}; what it can be given is {', '.join(INPUTS)}"
        )
    return names
