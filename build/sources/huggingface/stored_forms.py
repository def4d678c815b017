"""Forms in which tools store a model that are no weights in full precision: adapters and quantized checkpoints."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from build.sources.huggingface.config import FILE, optional_json
from build.sources.source import Unusable
from contracts.problems import Code, Problem

ADAPTER = "adapter_config.json"
# Where tools state how the weights of a checkpoint are stored: keys of config.json, and files of AutoGPTQ and AutoAWQ.
KEYS = ("quantization_config", "compression_config")
FILES = {"quantize_config.json": "gptq", "quant_config.json": "awq"}
# Types of numbers in safetensors that the build reads. The others are of 8 bits or fewer, with scales beside them.
# https://github.com/huggingface/safetensors#format
PLAIN = {"F64", "F32", "F16", "BF16", "I64", "I32", "I16", "I8", "U64", "U32", "U16", "U8", "BOOL"}
# Endings of the names of tensors that hold packed weights or their scales.
PACKED = (
    ".qweight",
    ".qzeros",
    ".weight_packed",
    ".weight_blocks",
    ".SCB",
    ".absmax",
    ".quant_map",
)
FULL = "name the model in full precision that it was made from, which the build quantizes itself"


def adapter_problem(folder: Path) -> Problem | None:
    """Return the problem of a folder that holds an adapter of another model, with or without weights of its own."""
    path = folder / ADAPTER
    if not path.is_file():
        return None
    try:
        settings = optional_json(path)
    except Unusable:
        settings = {}
    kind, base = settings.get("peft_type") or "PEFT", settings.get("base_model_name_or_path")
    message = (
        f"{ADAPTER}: this is a {kind} adapter of {base or 'another model'}, not a whole model; merge it into its base "
        "model first (`PeftModel.from_pretrained(base, adapter).merge_and_unload().save_pretrained(folder)`), save "
        "the tokenizer beside it, and name that folder as `source`"
    )
    return Problem(code=Code.FORMAT_UNSUPPORTED, message=message)


def quantized_problem(folder: Path, config: Mapping[str, Any]) -> Problem | None:
    """Return the problem of weights that a tool has quantized; None for those in full precision."""
    named = next(_methods(folder, config), None)
    if named is None:
        return None
    place, method = named
    message = f"its weights are quantized already ({method}, as {place} says); {FULL}"
    return Problem(code=Code.FORMAT_UNSUPPORTED, message=message)


def _methods(folder: Path, config: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield each place that states a method of quantization, and the method."""
    parts = {"": config} | {f"{k}.": v for k, v in config.items() if isinstance(v, Mapping)}
    for part, settings in parts.items():
        for key in KEYS:
            if settings.get(key):
                yield f"`{part}{key}` in {FILE}", _method(settings[key])
    for name, method in FILES.items():
        if (folder / name).is_file():
            yield name, method


def _method(settings: Any) -> str:
    if not isinstance(settings, Mapping):
        return "by a method without a name"
    loaded = next((bits for bits in (4, 8) if settings.get(f"load_in_{bits}bit")), None)
    bits = loaded or settings.get("bits")
    method = settings.get("quant_method") or ("bitsandbytes" if loaded else "an unnamed method")
    return f"{method}, {bits} bits" if bits else str(method)


def packed_by(types: Mapping[str, str]) -> str:
    """Return the first tensor that shows weights to be quantized, by its type or name; "" where all are plain."""
    for name, kind in types.items():
        if kind not in PLAIN or name.endswith(PACKED):
            return f"{name} ({kind})"
    return ""
