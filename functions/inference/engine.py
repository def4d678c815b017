"""A loaded artefact that answers requests."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import onnxruntime as ort
from tokenizers import Tokenizer

from contracts.errors import ModelFailed, TooLarge
from contracts.limits import vectors_per_answer
from contracts.manifest import Manifest, read_manifest, verify
from contracts.prediction import PredictRequest, TierAnswer
from contracts.tasks import Task
from functions.inference.session import open_session
from functions.inference.tasks import READ, Rows, check_parameters
from functions.inference.tokens import batches, encode, feed, open_tokenizer

DEFAULT_MAX_INPUTS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """One artefact in memory. Predictions may run side by side; nothing is changed by them."""

    manifest: Manifest
    tokenizer: Tokenizer
    session: ort.InferenceSession
    input_names: tuple[str, ...]
    max_inputs: int

    @classmethod
    def load(
        cls,
        folder: Path,
        *,
        max_inputs: int = DEFAULT_MAX_INPUTS,
        threads: int = 1,
        device: str = "cpu",
        check: bool = True,
    ) -> Self:
        """Open the sealed folder, after every byte of it was checked; raises BrokenArtefact.

        `device` is "cpu" or "cuda"; whether CUDA is really used, `providers` tells.
        """
        manifest = verify(folder) if check else read_manifest(folder)
        session = open_session(folder / "model.onnx", threads=threads, device=device)
        return cls(
            manifest=manifest,
            tokenizer=open_tokenizer(folder / "tokenizer.json", manifest.max_tokens),
            session=session,
            input_names=tuple(node.name for node in session.get_inputs()),
            max_inputs=max_inputs,
        )

    @property
    def providers(self) -> tuple[str, ...]:
        return tuple(self.session.get_providers())

    def predict(self, request: PredictRequest) -> TierAnswer:
        """Answer every input, in order; raises TooLarge, InvalidInput or ModelFailed."""
        start = time.perf_counter()
        self._check_size(len(request.inputs))
        check_parameters(self.manifest, request.parameters)
        outputs = self._outputs(request)
        return TierAnswer(
            outputs=tuple(outputs),
            version=self.manifest.version,
            elapsed_ms=round((time.perf_counter() - start) * 1e3, 3),
        )

    def _check_size(self, inputs: int) -> None:
        if inputs > self.max_inputs:
            raise TooLarge(
                f"{inputs} inputs are more than the {self.max_inputs} this tier takes at once"
            )
        if self.manifest.task is Task.FEATURE_EXTRACTION:
            most = vectors_per_answer(self.manifest.dimensions)
            if inputs > most:
                raise TooLarge(
                    f"{inputs} vectors of {self.manifest.dimensions} floats would pass the 6 MB of one answer; "
                    f"send at most {most} inputs at once"
                )

    def _outputs(self, request: PredictRequest) -> list[dict[str, Any]]:
        encodings = encode(self.tokenizer, request.inputs)
        outputs: list[dict[str, Any]] = [{}] * len(encodings)
        read = READ[self.manifest.task]
        for batch in batches(encodings, together=self.manifest.precision != "int8"):
            rows = self._run([encodings[i] for i in batch])
            for i, output in zip(batch, read(rows, self.manifest, request.parameters), strict=True):
                output["tokens"] = len(encodings[i].ids)
                output["truncated"] = bool(encodings[i].overflowing)
                outputs[i] = output
        return outputs

    def _run(self, encodings: list[Any]) -> Rows:
        rows: Rows = self.session.run(None, feed(encodings, self.input_names, self.manifest))[0]
        if not np.isfinite(rows).all():
            raise ModelFailed("the model answered with numbers that are not finite")
        return rows
