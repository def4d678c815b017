"""Models that read one text and write another: the encoder runs once, and the decoder token by token.

`encoder.onnx` answers not what it read but what the decoder's layers look at: `past_key_values.N.encoder.key` and
`.value`, computed once for a text. `decoder.onnx` takes them with its own cache.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import onnxruntime as ort
from tokenizers import Tokenizer

from contracts.errors import RequestProblem
from contracts.manifest import BrokenArtefact, Manifest
from contracts.prediction import PredictRequest
from functions.inference.decoder import Decoder, DecoderLike
from functions.inference.detokenizer import Detokenizer
from functions.inference.generation import (
    TOKENIZER,
    Facts,
    Followed,
    StopCriteria,
    plain_tokenizer,
    teacher_forced,
    write,
)
from functions.inference.generation_parameters import (
    PARAMETERS,
    GenerationParameters,
    parse,
    problems,
)
from functions.inference.model import Outputs, Parameters
from functions.inference.sampling import Sampler
from functions.inference.session import open_session
from functions.inference.tasks.reading import only_texts

ENCODER, DECODER = "encoder.onnx", "decoder.onnx"
MASK = "encoder_attention_mask"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seq2Seq:
    """A tokenizer, an encoder, and a decoder that looks at what the encoder made."""

    facts: Facts
    tokenizer: Tokenizer
    encoder: ort.InferenceSession
    decoder: DecoderLike
    device: str

    @classmethod
    def open(cls, folder: Path, manifest: Manifest, *, threads: int, device: str) -> Self:
        """Raises BrokenArtefact where the graphs do not fit each other or the manifest."""
        facts = Facts.of(manifest.details)
        encoder = open_session(folder / ENCODER, threads=threads, device=device)
        answers = [node.name for node in encoder.get_outputs()]
        decoder = Decoder.open(
            folder / DECODER, threads=threads, device=device, fixed=(MASK, *answers)
        )
        if missing := set(answers) - {node.name for node in decoder.session.get_inputs()}:
            raise BrokenArtefact(
                f"{ENCODER} answers {', '.join(sorted(missing))}, which {DECODER} does not take; build the model again"
            )
        tokenizer = plain_tokenizer(folder / TOKENIZER)
        tokenizer.enable_truncation(facts.context)
        return cls(
            facts=facts,
            tokenizer=tokenizer,
            encoder=encoder,
            decoder=decoder,
            device=decoder.device,
        )

    @property
    def providers(self) -> tuple[str, ...]:
        return tuple(self.encoder.get_providers())

    def problems(self, request: PredictRequest) -> list[RequestProblem]:
        return only_texts(request) + problems(request.parameters, self.facts.new_tokens, PARAMETERS)

    def most(self, parameters: Parameters) -> int | None:
        """None: how long a text becomes is known once it is written."""
        return None

    def outputs(self, request: PredictRequest) -> Outputs:
        """One text after the other: none depends on its neighbours."""
        wanted = parse(request.parameters, self.facts.new_tokens)
        return [self._output(str(text), wanted, request.deadline) for text in request.inputs]

    def _output(self, text: str, wanted: GenerationParameters, deadline: float) -> dict[str, Any]:
        encoding = self.tokenizer.encode(text)
        start = [self.facts.start]
        detokenizer = Detokenizer(self.tokenizer, wanted.stop, start)
        chooser = Sampler(wanted.sampling, start)
        cache = self.decoder.empty(self.look(encoding.ids or start))
        ends = StopCriteria(tokens=self.facts.ends, most=wanted.max_new_tokens, deadline=deadline)
        told = write(self.decoder, start, cache, chooser, detokenizer, ends)
        return {
            "generated_text": detokenizer.text,
            **told,
            "tokens": len(encoding.ids),
            "truncated": bool(encoding.overflowing),
        }

    def follow(self, text: str, along: Sequence[int]) -> Followed:
        """As `generation.follow`, where the tokens are an answer to the text."""
        start = [self.facts.start]
        cache = self.decoder.empty(self.look(self.tokenizer.encode(text).ids or start))
        return teacher_forced(self.decoder, start, cache, along)

    def look(self, ids: list[int]) -> dict[str, Any]:
        """What the decoder looks at in a text, where ONNX Runtime put it."""
        tokens = np.array([ids], np.int64)
        mask = np.ones_like(tokens)
        names = [node.name for node in self.encoder.get_outputs()]
        binding = self.encoder.io_binding()
        binding.bind_cpu_input("input_ids", tokens)
        binding.bind_cpu_input("attention_mask", mask)
        for name in names:
            binding.bind_output(name, self.device)
        self.encoder.run_with_iobinding(binding)
        made = dict(zip(names, binding.get_outputs(), strict=True))
        return {**made, MASK: ort.OrtValue.ortvalue_from_numpy(mask)}
