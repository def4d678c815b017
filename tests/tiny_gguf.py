"""The tiny Llama as a GGUF file, written as llama.cpp's converter does it: heads in its order, weights in Q8_0."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from build.sources.readers import inspect
from build.sources.source import Source
from contracts.tasks import Task
from tests.tiny_decoders import CONTEXT, END, PAD

LAYERS, HEADS, KEY_HEADS = 2, 4, 2
NAMES = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
KEYS = {
    "llama.context_length": CONTEXT,
    "llama.block_count": LAYERS,
    "llama.embedding_length": 64,
    "llama.feed_forward_length": 96,
    "llama.attention.head_count": HEADS,
    "llama.attention.head_count_kv": KEY_HEADS,
    "llama.rope.dimension_count": 16,
    "llama.rope.freq_base": 10000.0,
    "llama.attention.layer_norm_rms_epsilon": 1e-6,
    "tokenizer.ggml.model": "gpt2",
    "tokenizer.ggml.pre": "gpt-2",
    "tokenizer.ggml.bos_token_id": 1,
    "tokenizer.ggml.eos_token_id": 1,
    "tokenizer.ggml.add_bos_token": True,
    "general.license": "apache-2.0",
}


def write_gguf(source: Path, path: Path, changes: Mapping[str, Any] | None = None) -> Path:
    """The Llama in the folder `source` as a file; `changes` of its keys, None leaves one out."""
    from gguf import GGMLQuantizationType, GGUFWriter, quants
    from safetensors.numpy import load_file

    tokenizer = json.loads((source / "tokenizer.json").read_text("utf-8"))["model"]
    words = sorted(tokenizer["vocab"], key=tokenizer["vocab"].__getitem__)
    writer = GGUFWriter(path, "llama")
    keys = {
        **KEYS,
        "tokenizer.ggml.tokens": words,
        "tokenizer.ggml.token_type": [3 if word in (PAD, END) else 1 for word in words],
        "tokenizer.ggml.merges": [" ".join(merge) for merge in tokenizer["merges"]],
        **(changes or {}),
    }
    for key, value in keys.items():
        _add(writer, key, value)
    for name, tensor in load_file(source / "model.safetensors").items():
        kind = GGMLQuantizationType.Q8_0 if tensor.ndim == 2 else GGMLQuantizationType.F32
        writer.add_tensor(
            _name(name), quants.quantize(_ordered(name, tensor), kind), raw_dtype=kind
        )
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _add(writer: Any, key: str, value: Any) -> None:
    match value:
        case bool():
            writer.add_bool(key, value)
        case int():
            writer.add_uint32(key, value)
        case float():
            writer.add_float32(key, value)
        case str():
            writer.add_string(key, value)
        case list():
            writer.add_array(key, value)


def _name(name: str) -> str:
    """What llama.cpp calls a tensor."""
    bare, _, last = name.rpartition(".")
    if bare in NAMES:
        return f"{NAMES[bare]}.{last}"
    _, _, number, rest = bare.split(".", 3)
    return f"blk.{number}.{NAMES[rest]}.{last}"


def _ordered(name: str, tensor: NDArray[np.float32]) -> NDArray[np.float32]:
    """The halves that are turned by one angle lie beside each other in llama.cpp's queries and keys."""
    heads = {"q_proj": HEADS, "k_proj": KEY_HEADS}.get(name.split(".")[-2])
    if heads is None:
        return tensor
    halves = tensor.reshape(heads, 2, -1, tensor.shape[1])
    return np.ascontiguousarray(halves.swapaxes(1, 2).reshape(tensor.shape))


def inspected(path: Path, task: Task = Task.TEXT_GENERATION) -> tuple[Source | None, list[str]]:
    return inspect(path, task, None)
