"""Text-to-text generation: the encoder is run once for a text, and the decoder token by token.

`encoder.onnx` returns the keys and values of the decoder's cross-attention, `past_key_values.N.encoder.key` and
`.value`, instead of its hidden states: they are the same for every token, so they are computed once for a text.
`decoder.onnx` takes them beside its own cache.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import onnxruntime as ort
from tokenizers import Tokenizer

from contracts.api.text2text_generation import API
from contracts.errors import RequestProblem
from contracts.manifest import TOKENIZER, BrokenArtefact, Manifest
from contracts.prediction import PredictRequest
from functions.inference.decoder import Decoder, DecoderLike
from functions.inference.detokenizer import Detokenizer
from functions.inference.generation import (
    GenerationConfig,
    StopCriteria,
    TeacherForced,
    generate,
    plain_tokenizer,
    teacher_forced,
)
from functions.inference.generation_parameters import GenerationParameters, parse, problems
from functions.inference.model import Outputs, Parameters
from functions.inference.sampling import Sampler
from functions.inference.session import open_session

ENCODER, DECODER = "encoder.onnx", "decoder.onnx"
MASK = "encoder_attention_mask"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seq2Seq:
    """A tokenizer, an encoder, and a decoder with attention to the encoder's output."""

    config: GenerationConfig
    tokenizer: Tokenizer
    encoder: ort.InferenceSession
    decoder: DecoderLike
    device: str

    @classmethod
    def open(cls, folder: Path, manifest: Manifest, *, threads: int, device: str) -> Self:
        """Open an artefact; raise BrokenArtefact if its graphs do not fit each other or the manifest."""
        config = GenerationConfig.from_details(manifest.details)
        encoder = open_session(folder / ENCODER, threads=threads, device=device)
        names = [node.name for node in encoder.get_outputs()]
        decoder = Decoder.open(
            folder / DECODER, threads=threads, device=device, fixed=(MASK, *names)
        )
        if missing := set(names) - {node.name for node in decoder.session.get_inputs()}:
            raise BrokenArtefact(
                f"{ENCODER} returns {', '.join(sorted(missing))}, which {DECODER} does not take; build the model again"
            )
        tokenizer = plain_tokenizer(folder / TOKENIZER)
        tokenizer.enable_truncation(config.context)
        return cls(
            config=config,
            tokenizer=tokenizer,
            encoder=encoder,
            decoder=decoder,
            device=decoder.device,
        )

    @property
    def providers(self) -> tuple[str, ...]:
        return tuple(self.encoder.get_providers())

    def problems(self, request: PredictRequest) -> list[RequestProblem]:
        return problems(request, API, self.config.new_tokens)

    def max_outputs(self, parameters: Parameters) -> int | None:
        """Return None: the length of a text is not known before it is generated."""
        return None

    def outputs(self, request: PredictRequest) -> Outputs:
        """Generate one text after the other, so that none depends on its neighbours."""
        parameters = parse(request.parameters, self.config.new_tokens)
        return [self._output(str(text), parameters, request.deadline) for text in request.inputs]

    def _output(
        self, text: str, parameters: GenerationParameters, deadline: float
    ) -> dict[str, Any]:
        encoding = self.tokenizer.encode(text)
        start = [self.config.start]
        detokenizer = Detokenizer(self.tokenizer, parameters.stop, start)
        sampler = Sampler(parameters.sampling, start)
        criteria = StopCriteria(
            tokens=self.config.ends, max_new_tokens=parameters.max_new_tokens, deadline=deadline
        )
        # The decoder begins with its start token alone: the text is the input of the encoder.
        cache = self.decoder.empty_cache(self.encode(encoding.ids or start))
        ending = generate(self.decoder, start, cache, sampler, detokenizer, criteria)
        return {
            "generated_text": detokenizer.text,
            **ending,
            "tokens": len(encoding.ids),
            "truncated": bool(encoding.overflowing),
        }

    def teacher_forced(self, text: str, target: Sequence[int]) -> TeacherForced:
        """Score the target's tokens as the answer to a text, each after the target's tokens before it."""
        start = [self.config.start]
        cache = self.decoder.empty_cache(self.encode(self.tokenizer.encode(text).ids or start))
        return teacher_forced(self.decoder, start, cache, target)

    def encode(self, ids: list[int]) -> dict[str, Any]:
        """Run the encoder: the decoder's fixed inputs for a text, on the device where ONNX Runtime put them."""
        tokens = np.array([ids], np.int64)
        mask = np.ones_like(tokens)
        names = [node.name for node in self.encoder.get_outputs()]
        binding = self.encoder.io_binding()
        binding.bind_cpu_input("input_ids", tokens)
        binding.bind_cpu_input("attention_mask", mask)
        # The decoder reads them on the device, so they are not copied back to the host.
        for name in names:
            binding.bind_output(name, self.device)
        self.encoder.run_with_iobinding(binding)
        fixed = dict(zip(names, binding.get_outputs(), strict=True))
        return {**fixed, MASK: ort.OrtValue.ortvalue_from_numpy(mask)}
