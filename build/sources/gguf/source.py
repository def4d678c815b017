"""GGUF files of causal models as sources. The reference is transformers, from a Hugging Face folder unpacked once.

transformers dequantizes the weights. The tokenizer is made here, from the tokens, merges and token types in the file:
transformers would split digits and add a first token as Llama's own tokenizer does, whatever the file says.
"""

import contextlib
import importlib.metadata
import io
import json
import math
import tempfile
from pathlib import Path
from typing import Any

from build.errors import ExportFailed, SourceError
from build.sources.formats import GGUF, HUGGING_FACE
from build.sources.gguf.consistency import adds_token, consistency_problems, context_limit
from build.sources.gguf.header import Header, read_header
from build.sources.source import (
    GgufSource,
    GraphSource,
    Source,
    TableSource,
    TokenizedSource,
    TransformersSource,
    Unusable,
    digest_of,
)
from build.tasks.description import FamilyName, TaskDescription
from build.workspace.progress import Notify
from build.workspace.quiet import quiet
from contracts.manifest import CHAT_TEMPLATE
from contracts.problems import Code, Problem
from contracts.specs import SourceOptions

FAMILIES = (FamilyName.CAUSAL, FamilyName.SCORER)
# The Hugging Face folder that a file is unpacked to, among what is prepared.
UNPACKED = "original"
# Architectures that transformers reads, optimum exports, and of which every tensor and key is understood here.
ARCHITECTURES = ("llama", "qwen2", "qwen3", "gpt2")
# Pre-tokenizers by their names in llama.cpp (llama-vocab.cpp has the expressions): split off single digits first or
# not, then split by the expression; None is GPT-2's, which the tokenizers library has.
WORD_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{%s}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
PRE_TOKENIZERS: dict[str, tuple[bool, str | None]] = {
    "gpt-2": (False, None),
    "olmo": (False, None),
    "smollm": (True, None),
    "starcoder": (True, None),
    "refact": (True, None),
    "qwen2": (False, WORD_PATTERN % "1"),
    "deepseek-r1-qwen": (False, WORD_PATTERN % "1"),
    "llama-bpe": (False, WORD_PATTERN % "1,3"),
}
# Token types of llama.cpp: control tokens are made by no text, user-defined ones are never split.
NORMAL, CONTROL, USER_DEFINED = 1, 3, 4


def read(
    path: Path, task: TaskDescription, max_tokens: int | None, options: SourceOptions
) -> GgufSource:
    """Return the source; raises Unusable with every problem."""
    if task.family not in FAMILIES:
        raise Unusable(
            Code.TASK_UNSUPPORTED,
            f"{task.name} cannot be built from GGUF, which holds a causal model; use text-generation or "
            "language-model-scoring",
        )
    header = read_header(path)
    limit, problems = context_limit(header, max_tokens)
    problems += _unsupported(header)
    if header.architecture in ARCHITECTURES:
        problems += consistency_problems(header)
    if problems:
        raise Unusable.listing(problems)
    return GgufSource(
        kind=GGUF,
        path=path,
        task=task,
        digest=digest_of(None, path),
        weight_bytes=path.stat().st_size,
        weights=sum(map(math.prod, header.shapes.values())),
        stored=header.quantization,
        tools={"gguf": importlib.metadata.version("gguf")},
        max_tokens=limit,
        licence=str(header.keys.get("general.license", "")),
        details=_details(header, limit) if task.family is FamilyName.CAUSAL else {},
    )


def _unsupported(header: Header) -> list[Problem]:
    """Return a problem for each feature of the file that transformers or our tokenizer would misread."""
    keys, problems = header.keys, []
    if header.architecture not in ARCHITECTURES:
        message = (
            f"its architecture is {header.architecture or 'not in it'}; "
            f"{', '.join(ARCHITECTURES)} can be built, so give the model as a Hugging Face folder"
        )
        problems.append(Problem(code=Code.ARCHITECTURE_UNSUPPORTED, message=message))
    if (
        header.hyperparameter("rope.scaling.type", "none") != "none"
        or "rope_freqs.weight" in header.shapes
    ):
        message = (
            "scales its rotary positions, which transformers does not read from GGUF; "
            "give the model as a Hugging Face folder"
        )
        problems.append(Problem(code=Code.ARCHITECTURE_UNSUPPORTED, message=message))
    kind, pre = keys.get("tokenizer.ggml.model"), keys.get("tokenizer.ggml.pre", "gpt-2")
    if kind not in ("gpt2", "llama"):
        message = f"its tokenizer is {kind or 'not in it'}; gpt2 and llama are known"
        problems.append(Problem(code=Code.TOKENIZER_UNSUPPORTED, message=message))
    elif kind == "gpt2" and pre not in PRE_TOKENIZERS:
        message = f"its pre-tokenizer is {pre}; known are {', '.join(PRE_TOKENIZERS)}"
        problems.append(Problem(code=Code.TOKENIZER_UNSUPPORTED, message=message))
    return problems


def _details(header: Header, context: int) -> dict[str, Any]:
    from build.sources.huggingface.chat import writer
    from build.sources.huggingface.generation_config import new_tokens

    ends, program = end_ids(header), template_program(header)
    return {
        **(writer.described(program, special_tokens(header)) if program else {}),
        "context": context,
        "start_token_id": int(header.keys.get("tokenizer.ggml.bos_token_id", (*ends, 0)[0])),
        "eos_token_ids": ends,
        "max_new_tokens": new_tokens(context),
    }


def template_program(header: Header) -> str:
    """Return the program of the chat template, "" where there is none."""
    program = header.keys.get("tokenizer.chat_template", "")
    return program if isinstance(program, str) else ""


def special_tokens(header: Header) -> dict[str, str]:
    """Return the special tokens by the names that a template has for them, those that no text makes."""
    tokens, types = (header.keys.get(f"tokenizer.ggml.{key}") for key in ("tokens", "token_type"))
    places = {
        f"{name}_token": header.keys.get(f"tokenizer.ggml.{key}_token_id")
        for name, key in (("bos", "bos"), ("eos", "eos"), ("unk", "unknown"), ("pad", "padding"))
    }
    return {
        name: tokens[place]
        for name, place in places.items()
        if place is not None and tokens and types and types[place] == CONTROL
    }


def end_ids(header: Header) -> list[int]:
    """Return the tokens that end a text: chat models end a turn by `eot`, and Llama a call of a tool by `eom`."""
    named = (header.keys.get(f"tokenizer.ggml.{n}_token_id") for n in ("eos", "eot", "eom"))
    return list(dict.fromkeys(int(token) for token in named if token is not None))


def unpack_source(source: GgufSource, prepared: Path, notify: Notify) -> None:
    """Unpack the file to where `folder_of` finds it; raise ExportFailed or SourceError."""
    notify("dequantizing the weights")
    unpack(source.path, prepared / UNPACKED)
    notify("exporting")


def folder_of(source: TransformersSource | GgufSource, prepared: Path) -> Path:
    """Return the Hugging Face folder of the reference; a GGUF file was unpacked to one among what is prepared."""
    return prepared / UNPACKED if isinstance(source, GgufSource) else source.folder


def unpacked(source: TokenizedSource | GgufSource, prepared: Path) -> TokenizedSource:
    """Return the source itself, or the Hugging Face folder that a GGUF file was unpacked to."""
    if isinstance(source, TransformersSource | GraphSource):
        return source
    folder = folder_of(source, prepared)
    return TransformersSource(
        kind=HUGGING_FACE,
        path=folder,
        task=source.task,
        digest=source.digest,
        tokenizer=folder / "tokenizer.json",
        weight_bytes=source.weight_bytes,
        weights=source.weights,
        max_tokens=source.max_tokens,
        asked_tokens=source.max_tokens,
        details=source.details,
        licence=source.licence,
    )


def library_folder(source: Source, prepared: Path) -> TransformersSource | None:
    """Return the folder that a source's own library reads; None for a format that has no such library."""
    if isinstance(source, GraphSource | TableSource):
        return None
    given = unpacked(source, prepared)
    return given if isinstance(given, TransformersSource) else None


def unpack(path: Path, folder: Path) -> None:
    """Write the file as a Hugging Face folder in full precision; raises ExportFailed, or SourceError for NaN."""
    from transformers import AutoConfig, AutoModelForCausalLM
    from transformers.initialization import no_init_weights
    from transformers.modeling_gguf_pytorch_utils import load_gguf_checkpoint

    header = read_header(path)
    with quiet(), contextlib.redirect_stderr(io.StringIO()):  # hides its progress bar
        config = AutoConfig.from_pretrained(path.parent, gguf_file=path.name)
        # Every weight comes from the file: random ones would be made for nothing.
        with no_init_weights():
            model = AutoModelForCausalLM.from_config(config)
        tensors = load_gguf_checkpoint(str(path), return_tensors=True, model_to_load=model)[
            "tensors"
        ]
        missing, surplus = model.load_state_dict(tensors, strict=False)
        model.tie_weights()
    tied = set(model._tied_weights_keys or ()) if config.tie_word_embeddings else set()
    if len(tensors) != len(header.shapes) or surplus or set(missing) - tied:
        raise ExportFailed(
            f"{path} has {len(header.shapes)} tensors, but transformers finds a place for "
            f"{len(tensors) - len(surplus)} and misses {len(set(missing) - tied)}; "
            "give the model as a Hugging Face folder"
        )
    _check_finite(model, path)
    model.generation_config.eos_token_id = end_ids(header) or None
    model.save_pretrained(folder)
    tokenizer_of(header, path).save(str(folder / "tokenizer.json"))
    # Without it, transformers would make the tokenizer of the architecture's own class from other parts of the file.
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False}
    if program := template_program(header):
        config |= special_tokens(header)
        (folder / CHAT_TEMPLATE).write_text(program, "utf-8")
    (folder / "tokenizer_config.json").write_text(json.dumps(config), "utf-8")


def _check_finite(model: Any, path: Path) -> None:
    for name, parameter in model.named_parameters():
        if not math.isfinite(float(parameter.detach().abs().max())):
            message = f"{name} holds numbers that are not finite; convert it again"
            raise SourceError.about(path, Code.WEIGHTS_NOT_FINITE, message)


def tokenizer_of(header: Header, path: Path) -> Any:
    """Return the file's tokenizer, which adds the first and last tokens that the file demands."""
    from tokenizers import processors

    keys = header.keys
    byte_level = keys["tokenizer.ggml.model"] == "gpt2"
    tokenizer = _byte_level_bpe(keys) if byte_level else _sentencepiece_bpe(path)
    tokens = keys["tokenizer.ggml.tokens"]
    ids = {
        name: int(keys[f"tokenizer.ggml.{name}_token_id"])
        for name in ("bos", "eos")
        if adds_token(header, name)
    }
    first, last = ([tokens[ids[name]]] if name in ids else [] for name in ("bos", "eos"))
    tokenizer.post_processor = processors.TemplateProcessing(
        single=[*first, "$A", *last], special_tokens=[(tokens[i], i) for i in ids.values()]
    )
    return tokenizer


def _byte_level_bpe(keys: Any) -> Any:
    """Return byte-level BPE with the file's merges in their order and the pre-tokenizer that it names."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers

    tokens, pre = keys["tokenizer.ggml.tokens"], keys.get("tokenizer.ggml.pre", "gpt-2")
    digits, expression = PRE_TOKENIZERS[pre]
    merges = [tuple(merge.split(" ", 1)) for merge in keys["tokenizer.ggml.merges"]]
    vocabulary = {token: i for i, token in enumerate(tokens)}
    # As in llama.cpp: Llama 3 takes a word that is a token as it is, whatever its merges.
    tokenizer = Tokenizer(models.BPE(vocabulary, merges, ignore_merges=pre == "llama-bpe"))
    steps: list[Any] = [pre_tokenizers.Digits(individual_digits=True)] if digits else []
    if expression:
        steps.append(pre_tokenizers.Split(Regex(expression), behavior="isolated"))
    steps.append(pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=expression is None))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(steps)
    tokenizer.decoder = decoders.ByteLevel()
    types = keys.get("tokenizer.ggml.token_type", [NORMAL] * len(tokens))
    for type_, add in (
        (CONTROL, tokenizer.add_special_tokens),
        (USER_DEFINED, tokenizer.add_tokens),
    ):
        pairs = zip(tokens, types, strict=True)
        add([AddedToken(token, normalized=False) for token, of in pairs if of == type_])
    return tokenizer


def _sentencepiece_bpe(path: Path) -> Any:
    """Return SentencePiece's BPE, whose merges transformers recovers from the scores.

    transformers reads it in a folder of its own: a tokenizer_config.json beside the file would choose the class.
    """
    from transformers import AutoTokenizer

    with tempfile.TemporaryDirectory() as alone, quiet():
        (Path(alone) / path.name).symlink_to(path.resolve())
        return AutoTokenizer.from_pretrained(alone, gguf_file=path.name).backend_tokenizer
