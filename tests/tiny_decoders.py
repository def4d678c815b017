"""Hugging Face folders of models that write, but tiny: GPT-2, Llama and T5 with weights from a seed.

Their tokenizers are byte-level BPE, trained on a few lines, so that any text can be read and any bytes be written.
"""

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from build.export.generator import finish, in_place_of, prepare_causal, prepare_seq2seq
from build.sources.huggingface.generation_config import details
from contracts.manifest import Manifest
from contracts.prediction import PredictRequest
from contracts.tasks import Task, Tier
from functions.inference.decoder import Cache, Reads
from functions.inference.generation import Generator
from functions.inference.seq2seq import Seq2Seq

CONTEXT = 48
LINES = (
    "The train turned out at the turnout, and the signal fell.",
    "A station, a switch, a signal: the night train is late again.",
    "Größe, naïve café, 東京 and 🚆 are words of more than one byte.",
)
PROMPTS = (
    "The train",
    "A station, a switch",
    "and",
    "🚆 to 東京",
    "late again late again late again",
    "Größe\n\n",
    "x",
    "The signal fell. The signal rose. The signal",
)
END, PAD = "</s>", "<pad>"


def gpt2(folder: Path) -> Path:
    from transformers import GPT2Config, GPT2LMHeadModel

    words = _tokenizer(folder, "$A")
    config = GPT2Config(
        vocab_size=words, n_positions=CONTEXT, n_embd=32, n_layer=2, n_head=4, **_tokens()
    )
    return _save(GPT2LMHeadModel, config, folder)


def llama(folder: Path) -> Path:
    """Two heads of keys for four of queries, tied embeddings, and a token in front of every prompt."""
    from transformers import LlamaConfig, LlamaForCausalLM

    words = _tokenizer(folder, f"{END} $A")
    config = LlamaConfig(
        vocab_size=words,
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=True,
        **_tokens(),
    )
    return _save(LlamaForCausalLM, config, folder)


def qwen3(folder: Path) -> Path:
    """Queries and keys are put to one length before they are turned."""
    from transformers import Qwen3Config, Qwen3ForCausalLM

    words = _tokenizer(folder, "$A")
    return _save(Qwen3ForCausalLM, Qwen3Config(vocab_size=words, **_small(), **_tokens()), folder)


def mistral(folder: Path) -> Path:
    """A token sees no more than 8 before it."""
    from transformers import MistralConfig, MistralForCausalLM

    words = _tokenizer(folder, "$A")
    config = MistralConfig(vocab_size=words, sliding_window=8, **_small(), **_tokens())
    return _save(MistralForCausalLM, config, folder)


def _small() -> dict[str, int]:
    return {
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": 1,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "max_position_embeddings": CONTEXT,
    }


def t5(folder: Path) -> Path:
    from transformers import T5Config, T5ForConditionalGeneration

    words = _tokenizer(folder, f"$A {END}")
    config = T5Config(
        vocab_size=words,
        d_model=32,
        d_kv=8,
        d_ff=64,
        num_layers=2,
        num_heads=4,
        relative_attention_max_distance=16,
        relative_attention_num_buckets=8,
        decoder_start_token_id=1,
        **_tokens(),
    )
    return _save(T5ForConditionalGeneration, config, folder)


def bart(folder: Path) -> Path:
    """Its projections have a bias, and its decoder counts positions by itself: not built yet."""
    from transformers import BartConfig, BartForConditionalGeneration

    words = _tokenizer(folder, f"$A {END}")
    config = BartConfig(
        vocab_size=words,
        d_model=32,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=64,
        decoder_ffn_dim=64,
        max_position_embeddings=CONTEXT,
        decoder_start_token_id=1,
        forced_eos_token_id=None,
        **_tokens(),
    )
    return _save(BartForConditionalGeneration, config, folder)


CAUSAL: Mapping[str, Callable[[Path], Path]] = {"gpt2": gpt2, "llama": llama}


def original(folder: Path, text: str, count: int) -> list[int]:
    """The tokens that transformers writes without sampling."""
    import torch
    from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer

    kind = AutoModelForSeq2SeqLM if folder.name == "t5" else AutoModelForCausalLM
    encoded = AutoTokenizer.from_pretrained(folder)(
        text, return_tensors="pt", return_token_type_ids=False
    )
    with torch.no_grad():
        model = kind.from_pretrained(folder).eval()
        ids = model.generate(**encoded, do_sample=False, max_new_tokens=count)[0].tolist()
    start = 1 if folder.name == "t5" else encoded["input_ids"].shape[1]
    return [int(token) for token in ids[start:]]


@dataclass(frozen=True)
class Recorder:
    """A decoder that remembers what it was given to read: the tokens, and how many were in the cache."""

    decoder: Reads
    reads: list[tuple[list[int], int]] = field(default_factory=list)

    def empty(self, fixed: Mapping[str, Any]) -> Cache:
        return self.decoder.empty(fixed)

    def read(self, tokens: Sequence[int], cache: Cache) -> Any:
        self.reads.append((list(tokens), cache.length))
        return self.decoder.read(tokens, cache)


@dataclass(frozen=True)
class Written:
    """One answer, with the tokens that were read for it."""

    output: dict[str, Any]
    reads: list[tuple[list[int], int]]

    @property
    def ids(self) -> list[int]:
        """What was written, without the last token, which nobody reads."""
        return [tokens[0] for tokens, _ in self.reads[1:]]


def ask(model: Generator | Seq2Seq, text: str, **parameters: Any) -> Written:
    recorder = Recorder(model.decoder)
    request = PredictRequest(inputs=(text,), parameters=parameters)
    assert not model.mistakes(request)
    (output,) = replace(model, decoder=recorder).outputs(request)
    return Written(output, recorder.reads)


def built(
    source: Path, folder: Path, change: Callable[[Any], None] | None = None, *, fused: bool = True
) -> Path:
    folder.mkdir(parents=True)
    prepared = folder / "prepared"
    prepared.mkdir()
    prepare = prepare_seq2seq if source.name == "t5" else prepare_causal
    prepare(source, prepared, CONTEXT)
    found = in_place_of(prepared) if fused else None
    finish(prepared, folder, *(each for each in (found, change) if each))
    shutil.rmtree(prepared)
    shutil.copyfile(source / "tokenizer.json", folder / "tokenizer.json")
    return folder


def opened(source: Path, folder: Path, **changes: Any) -> Any:
    """The built model; `changes` go into the manifest's details."""
    kind = Seq2Seq if source.name == "t5" else Generator
    task = Task.TEXT2TEXT_GENERATION if source.name == "t5" else Task.TEXT_GENERATION
    manifest = Manifest(
        model="tiny",
        task=task,
        tier=Tier.CPU,
        precision="fp32",
        recipe="fp32",
        max_tokens=CONTEXT,
        details={**details(source, CONTEXT), **changes},
        toolchain={},
    )
    return kind.open(folder, manifest, threads=1, device="cpu")


def _tokens() -> dict[str, int]:
    return {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 1}


def _save(kind: Any, config: Any, folder: Path) -> Path:
    import torch

    torch.manual_seed(5)
    model = kind(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:  # the weights it starts with would write one word for ever
                parameter.normal_(0, 0.4)
    model.save_pretrained(folder)
    return folder


def _tokenizer(folder: Path, template: str) -> int:
    """Save one that puts the template around a text; the size of its vocabulary."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=320,
        special_tokens=[PAD, END],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(LINES * 4, trainer)
    if template != "$A":
        tokenizer.post_processor = processors.TemplateProcessing(
            single=template, special_tokens=[(END, 1)]
        )
    folder.mkdir(parents=True)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token=PAD, eos_token=END, model_max_length=CONTEXT
    )
    fast.save_pretrained(folder)
    return len(fast)
