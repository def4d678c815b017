"""A model as vLLM serves it: its shape, its weights, and the types of weights and KV cache."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from contracts.problems import Code
from stacks.fit.architectures import read_shape
from stacks.fit.config import FILE, Config
from stacks.fit.dtypes import BYTES, Dtype, KvDtype
from stacks.fit.quantization import KEY, ONLINE_FP8, Method, Quantization, read_quantization
from stacks.fit.shape import Shape
from stacks.fit.weights import Weights, linear_bytes, other_bytes, stored_bytes

# vLLM serves float32 checkpoints, and those that name no type, in 16 bits unless it is told otherwise.
HALF = Dtype.BFLOAT16


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A model and the types in which it is served.

    `dtype` and `kv_dtype` are names of types; an element of the cache has `kv_bytes`. `computed` are the bytes of the
    checkpoint's tensors by config.json, None where its types are not known; `stored` those that the checkpoint states.
    """

    shape: Shape
    dtype: str
    weights: Weights
    kv_dtype: str
    kv_bytes: int
    computed: int | None
    stored: int | None


def read_model(
    document: Mapping[str, Any],
    stored: int | None = None,
    *,
    dtype: Dtype = Dtype.AUTO,
    kv_dtype: KvDtype = KvDtype.AUTO,
    where: object = FILE,
) -> Model:
    """Return the model of a config.json; `stored` are the bytes that its checkpoint states. Raise Unsized."""
    config = Config(document, where)
    shape = read_shape(config)
    quantization = read_quantization(config)
    kept = _kept(config)
    if quantization and dtype in (Dtype.FP8, Dtype.FLOAT32):
        config.refuse(
            KEY, f"says that the checkpoint is quantized already; leave out --dtype {dtype}"
        )
    if quantization and quantization.method is Method.OTHER and stored is None:
        config.refuse(
            KEY,
            f"has the method {quantization.name or 'none'}, or leaves modules out, in a way whose bytes only the "
            "checkpoint tells; give the folder with model.safetensors.index.json",
            Code.FORMAT_UNSUPPORTED,
        )
    config.check()
    served = _served(dtype, kept)
    size = BYTES[served]
    online = ONLINE_FP8 if dtype is Dtype.FP8 else None
    return Model(
        shape=shape,
        dtype=quantization.name if quantization else (Dtype.FP8 if online else served),
        weights=Weights(
            bytes_per_element=size,
            linear=_linear(shape, size, quantization or online, stored if quantization else None),
        ),
        kv_dtype=KvDtype.FP8 if kv_dtype is KvDtype.FP8 else served,
        kv_bytes=1 if kv_dtype is KvDtype.FP8 else size,
        computed=_computed(shape, kept, quantization),
        stored=stored,
    )


def _served(dtype: Dtype, kept: Dtype | None) -> Dtype:
    """Return the type in which what is not quantized is served."""
    if dtype is Dtype.AUTO and kept in (Dtype.FLOAT16, Dtype.BFLOAT16):
        return kept
    return HALF if dtype in (Dtype.AUTO, Dtype.FP8) else dtype


def _kept(config: Config) -> Dtype | None:
    """Return the type of the checkpoint, None where config.json does not say it."""
    key = "dtype" if config.document.get("dtype") is not None else "torch_dtype"
    value = config.document.get(key)
    if value is None or value in BYTES:
        return None if value is None else Dtype(value)
    config.refuse(key, f"is {value!r:.40}, where one of {', '.join(BYTES)} has to be")
    return None


def _linear(shape: Shape, size: int, quantization: Quantization | None, stored: int | None) -> int:
    """Return the bytes of the matrices that may be quantized: what the checkpoint has beside the others, if it says."""
    if stored is not None:
        return max(1, stored - other_bytes(shape, size))
    return linear_bytes(shape, size, quantization)


def _computed(shape: Shape, kept: Dtype | None, quantization: Quantization | None) -> int | None:
    if kept is None or (quantization and quantization.method is Method.OTHER):
        return None
    return stored_bytes(shape, BYTES[kept], quantization)
