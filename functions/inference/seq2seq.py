"""Text-to-text generation: the encoder is run once for a text, and the decoder token by token.

`encoder.onnx` returns the keys and values of the decoder's cross-attention, `past_key_values.N.encoder.key` and
`.value`, instead of its hidden states: they are the same for every token, so they are computed once for a text.
`decoder.onnx` takes them beside its own cache.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import onnxruntime as ort
from tokenizers import Tokenizer

from contracts.api.text2text_generation import API
from contracts.manifest import TOKENIZER, BrokenArtefact, Manifest
from contracts.prediction import Input
from functions.inference.decoder import Decoder
from functions.inference.generation import GenerationConfig, TextModel
from functions.inference.marian.pieces import PIECES, PieceTokenizer
from functions.inference.prompt.tokens import Prompt
from functions.inference.session import open_session
from functions.inference.token_batches import open_tokenizer

ENCODER, DECODER = "encoder.onnx", "decoder.onnx"
MASK = "encoder_attention_mask"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seq2Seq(TextModel):
    """An encoder, and a decoder with attention to the encoder's output."""

    api = API
    encoder: ort.InferenceSession
    device: str

    @classmethod
    def open(cls, folder: Path, manifest: Manifest, *, threads: int, device: str) -> Self:
        """Open an artefact; raise BrokenArtefact if its graphs do not fit each other or the manifest."""
        config = GenerationConfig.from_details(manifest.details)
        encoder = open_session(folder / ENCODER, threads=threads, device=device)
        names = [node.name for node in encoder.get_outputs()]
        decoder = Decoder.open(
            folder / DECODER, threads=threads, device=device, fixed=(MASK, *names), by_row=(MASK,)
        )
        if missing := set(names) - {node.name for node in decoder.session.get_inputs()}:
            raise BrokenArtefact(
                f"{ENCODER} returns {', '.join(sorted(missing))}, which {DECODER} does not take; build the model again"
            )
        # A file that is not sealed was not hashed, so it may be any other.
        tokenizer: Tokenizer | PieceTokenizer
        if any(file.path == PIECES for file in manifest.files):
            tokenizer = PieceTokenizer.open(folder, config.context)
        else:
            tokenizer = open_tokenizer(folder / TOKENIZER, config.context)
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

    def prompt(self, text: Input, room: int) -> Prompt:
        """Return the decoder's start token alone, as the text is the input of the encoder."""
        encoding, start = self.tokenizer.encode(str(text)), [self.config.start]
        # A text may have no tokens, but the encoder needs one.
        read = encoding.ids or start
        return Prompt(
            ids=start,
            text=read,
            fixed=self.encode(read),
            tokens=len(encoding.ids),
            truncated=bool(encoding.overflowing),
        )

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
