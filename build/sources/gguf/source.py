"""A GGUF file of a causal model as a source. What transformers makes of it is the original, saved once as a folder.

transformers takes the weights out of their blocks to full precision. The tokenizer is made here, from the words, merges
and kinds of tokens in the file: transformers would split digits and put a first token as Llama's own does, whatever the
file says.
"""

import contextlib
import importlib.metadata
import io
import math
import tempfile
from pathlib import Path
from typing import Any

from build.errors import ExportFailed, SourceError
from build.sources.formats import GGUF, HUGGING_FACE
from build.sources.gguf.consistency import limit_of, unfit
from build.sources.gguf.header import Header, read_header
from build.sources.source import (
    GgufSource,
    GraphSource,
    TokenizedSource,
    TransformersSource,
    Unusable,
    digest_of,
)
from build.workspace.quiet import quiet
from contracts.problems import Code, Problem
from contracts.specs import Hints
from contracts.tasks import Task

TASKS = (Task.TEXT_GENERATION, Task.LANGUAGE_MODEL_SCORING)
# Where among what is prepared the Hugging Face folder lies that a file is unpacked to.
UNPACKED = "original"
# Architectures that transformers reads, optimum exports, and whose every tensor and key is understood.
ARCHITECTURES = ("llama", "qwen2", "qwen3", "gpt2")
# How a text is cut before words are looked for, by the name that llama.cpp gives it: single digits first or not, and
# by which expression. None is GPT-2's own, which the tokenizers library has.
WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{%s}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
CUTS: dict[str, tuple[bool, str | None]] = {
    "gpt-2": (False, None),
    "olmo": (False, None),
    "smollm": (True, None),
    "starcoder": (True, None),
    "refact": (True, None),
    "qwen2": (False, WORDS % "1"),
    "deepseek-r1-qwen": (False, WORDS % "1"),
    "llama-bpe": (False, WORDS % "1,3"),
}
# Kinds of tokens: those that no text makes, and those that are whole wherever they stand.
CONTROL, USER_DEFINED = 3, 4


def read(path: Path, task: Task, max_tokens: int | None, hints: Hints) -> GgufSource:
    """The source; raises Unusable with everything that is wrong."""
    if task not in TASKS:
        raise Unusable(
            Code.TASK_UNSUPPORTED,
            f"{task} cannot be built from GGUF, which holds a causal model; use one of {', '.join(TASKS)}",
        )
    header = read_header(path)
    limit, problems = limit_of(header, max_tokens)
    problems += _unknown(header)
    if header.architecture in ARCHITECTURES:
        problems += unfit(header)
    if problems:
        raise Unusable.listing(problems)
    return GgufSource(
        kind=GGUF,
        path=path,
        task=task,
        digest=digest_of(path.parent / "nothing", path),
        weight_bytes=path.stat().st_size,
        weights=sum(map(math.prod, header.shapes.values())),
        stored=header.quantization,
        tools={"gguf": importlib.metadata.version("gguf")},
        max_tokens=limit,
        licence=str(header.keys.get("general.license", "")),
        details=_details(header, limit) if task is Task.TEXT_GENERATION else {},
    )


def _unknown(header: Header) -> list[Problem]:
    """Return a problem for each thing in the file that would be read wrongly."""
    keys, problems = header.keys, []
    if header.architecture not in ARCHITECTURES:
        message = (
            f"its architecture is {header.architecture or 'not said'}; "
            f"{', '.join(ARCHITECTURES)} can be built, so give the model as a Hugging Face folder"
        )
        problems.append(Problem(code=Code.ARCHITECTURE_UNSUPPORTED, message=message))
    if (
        header.of_model("rope.scaling.type", "none") != "none"
        or "rope_freqs.weight" in header.shapes
    ):
        message = (
            "stretches its positions, which transformers does not read from GGUF; "
            "give the model as a Hugging Face folder"
        )
        problems.append(Problem(code=Code.ARCHITECTURE_UNSUPPORTED, message=message))
    kind, cut = keys.get("tokenizer.ggml.model"), keys.get("tokenizer.ggml.pre", "gpt-2")
    if kind not in ("gpt2", "llama"):
        message = f"its tokenizer is {kind or 'not in it'}; gpt2 and llama are known"
        problems.append(Problem(code=Code.TOKENIZER_UNSUPPORTED, message=message))
    elif kind == "gpt2" and cut not in CUTS:
        message = f"its tokenizer cuts texts as {cut} does; known are {', '.join(CUTS)}"
        problems.append(Problem(code=Code.TOKENIZER_UNSUPPORTED, message=message))
    return problems


def _details(header: Header, context: int) -> dict[str, Any]:
    from build.sources.huggingface.generation_config import new_tokens

    keys = header.keys
    ends = [keys.get(f"tokenizer.ggml.{name}_token_id") for name in ("eos", "eot", "eom")]
    found = list(dict.fromkeys(int(token) for token in ends if token is not None))
    return {
        "context": context,
        "start_token_id": int(keys.get("tokenizer.ggml.bos_token_id", (*found, 0)[0])),
        "eos_token_ids": found,
        "max_new_tokens": new_tokens(context),
    }


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
        details=source.details,
        licence=source.licence,
    )


def unpack(path: Path, folder: Path) -> None:
    """The file as a Hugging Face folder in full precision; raises ExportFailed, or SourceError for NaN."""
    from transformers import AutoConfig, AutoModelForCausalLM
    from transformers.modeling_gguf_pytorch_utils import load_gguf_checkpoint
    from transformers.modeling_utils import no_init_weights

    header = read_header(path)
    with quiet(), contextlib.redirect_stderr(io.StringIO()):  # where it draws a bar
        config = AutoConfig.from_pretrained(path.parent, gguf_file=path.name)
        with no_init_weights():
            model = AutoModelForCausalLM.from_config(config)
        tensors = load_gguf_checkpoint(str(path), return_tensors=True, model_to_load=model)[
            "tensors"
        ]
        lacking, surplus = model.load_state_dict(tensors, strict=False)
        model.tie_weights()
    tied = set(model._tied_weights_keys or ()) if config.tie_word_embeddings else set()
    if len(tensors) != len(header.shapes) or surplus or set(lacking) - tied:
        raise ExportFailed(
            f"{path} has {len(header.shapes)} tensors, but transformers finds a place for "
            f"{len(tensors) - len(surplus)} and lacks {len(set(lacking) - tied)}; "
            "give the model as a Hugging Face folder"
        )
    _check_finite(model, path)
    model.save_pretrained(folder)
    tokenizer_of(header, path).save(str(folder / "tokenizer.json"))


def _check_finite(model: Any, path: Path) -> None:
    for name, parameter in model.named_parameters():
        if not math.isfinite(float(parameter.detach().abs().max())):
            message = f"{name} holds numbers that are not finite; convert it again"
            raise SourceError.about(path, Code.WEIGHTS_NOT_FINITE, message)


def tokenizer_of(header: Header, path: Path) -> Any:
    """The file's tokenizer, with the tokens in front and behind that it asks for."""
    from tokenizers import processors

    keys = header.keys
    bytewise = keys["tokenizer.ggml.model"] == "gpt2"
    tokenizer = _bytewise(keys) if bytewise else _by_transformers(path)
    put = {
        name: int(keys[f"tokenizer.ggml.{name}_token_id"])
        for name, usual in (("bos", not bytewise), ("eos", False))
        if keys.get(f"tokenizer.ggml.add_{name}_token", usual)
    }
    words = {name: keys["tokenizer.ggml.tokens"][token] for name, token in put.items()}
    pattern = [
        *([words["bos"]] if "bos" in put else ()),
        "$A",
        *([words["eos"]] if "eos" in put else ()),
    ]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=pattern, special_tokens=[(words[name], token) for name, token in put.items()]
    )
    return tokenizer


def _bytewise(keys: Any) -> Any:
    """Byte-level BPE: a rank for each merge, and the cut that the file names."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers

    words, cut = keys["tokenizer.ggml.tokens"], keys.get("tokenizer.ggml.pre", "gpt-2")
    digits, expression = CUTS[cut]
    merges = [tuple(merge.split(" ", 1)) for merge in keys["tokenizer.ggml.merges"]]
    vocabulary = {word: i for i, word in enumerate(words)}
    tokenizer = Tokenizer(models.BPE(vocabulary, merges, ignore_merges=cut == "llama-bpe"))
    steps = [pre_tokenizers.Digits(individual_digits=True)] if digits else []
    if expression:
        steps.append(pre_tokenizers.Split(Regex(expression), behavior="isolated"))
    steps.append(pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=expression is None))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(steps)
    tokenizer.decoder = decoders.ByteLevel()
    kinds = keys.get("tokenizer.ggml.token_type", [1] * len(words))
    for kind, add in (
        (CONTROL, tokenizer.add_special_tokens),
        (USER_DEFINED, tokenizer.add_tokens),
    ):
        add(
            [
                AddedToken(w, normalized=False)
                for w, k in zip(words, kinds, strict=True)
                if k == kind
            ]
        )
    return tokenizer


def _by_transformers(path: Path) -> Any:
    """SentencePiece's BPE, whose merges transformers finds again from the scores.

    In a folder of its own: a tokenizer_config.json beside the file would decide which class reads it.
    """
    from transformers import AutoTokenizer

    with tempfile.TemporaryDirectory() as alone, quiet():
        (Path(alone) / path.name).symlink_to(path.resolve())
        return AutoTokenizer.from_pretrained(alone, gguf_file=path.name).backend_tokenizer
