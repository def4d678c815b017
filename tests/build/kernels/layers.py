"""One EncoderLayer with random weights: its graph, a session of it, and the same layer in float64."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from scipy.special import erf, expit

from build.graph.edit import make_model
from build.proof.processors import cpu_flags
from build.recipes.encoder_layers.fusing import DOMAIN, OPERATOR, packed
from build.recipes.encoder_layers.matching import Activation
from build.recipes.saturation import quantize
from functions.inference.session import options

Array = NDArray[Any]
EPSILON = 1e-12
# The kernels that a library has, by the machine it is for, and the flag of a processor that runs one.
KERNELS = {"x86_64": ("avx512vnni", "avx2", "portable"), "aarch64": ("dotprod", "portable")}
FLAGS = {"avx512vnni": "avx512_vnni", "avx2": "avx2", "dotprod": "asimddp"}


# What transformers calls gelu, gelu_new or gelu_pytorch_tanh, relu, and silu or swish.
ACTIVATED: dict[Activation, Callable[[Array], Array]] = {
    Activation.GELU: lambda x: x * (1 + erf(x / np.sqrt(2))) / 2,
    Activation.GELU_TANH: lambda x: (
        x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))) / 2
    ),
    Activation.RELU: lambda x: np.maximum(x, 0),
    Activation.SILU: lambda x: x * expit(x),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """The sizes of a layer, and its constants by name; `positions` are added to its scores, if it has any."""

    heads: int
    hidden: int
    inner: int
    constants: dict[str, Array]
    activation: Activation = Activation.GELU
    positions: bool = False

    @classmethod
    def drawn(cls, *, heads: int, head: int, inner: int, seed: int, **more: Any) -> Self:
        """Draw a layer whose activations stay near 1; `more` is its activation, and whether it has positions."""
        rng, hidden = np.random.default_rng(seed), heads * head
        shapes = {
            "qkv": (hidden, 3 * hidden),
            "out": (hidden, hidden),
            "up": (hidden, inner),
            "down": (inner, hidden),
        }
        constants: dict[str, Array] = {}
        for name, (rows, columns) in shapes.items():
            integers, scale = quantize(
                (rng.normal(size=(rows, columns)) / np.sqrt(rows)).astype(np.float32)
            )
            constants |= {
                f"{name}.weight": integers,
                f"{name}.scale": scale,
                f"{name}.bias": rng.normal(scale=0.2, size=columns).astype(np.float32),
                f"{name}.sum": integers.sum(axis=0, dtype=np.int32),
                f"{name}.smooth": rng.uniform(0.7, 1.4, rows).astype(np.float32),
            }
        for number in (0, 1):
            constants |= {
                f"gain.{number}": rng.uniform(0.5, 1.5, hidden).astype(np.float32),
                f"shift.{number}": rng.normal(scale=0.2, size=hidden).astype(np.float32),
            }
        return cls(heads=heads, hidden=hidden, inner=inner, constants=constants, **more)

    def graph(self, changed: Mapping[str, Array] | None = None, *, ranks: bool = True) -> bytes:
        """Return a model of this operator alone, with some constants changed; without `ranks`, inputs may have any."""
        given = {**self.constants, **(changed or {})}
        made = {
            name: packed(value) if name.endswith(".weight") and value.ndim == 2 else value
            for name, value in given.items()
        }
        node = helper.make_node(
            OPERATOR,
            ["x", "mask", *made, *(["positions"] if self.positions else [])],
            ["y"],
            domain=DOMAIN,
            heads=self.heads,
            hidden=self.hidden,
            inner=self.inner,
            activation=int(self.activation),
            epsilon=EPSILON,
        )
        sizes = ["texts", "tokens"]
        of_x, of_mask = ([*sizes, None], sizes) if ranks else (None, None)
        graph = helper.make_graph(
            [node],
            "layer",
            [
                helper.make_tensor_value_info("x", TensorProto.FLOAT, of_x),
                helper.make_tensor_value_info("mask", TensorProto.INT32, of_mask),
                *(
                    [helper.make_tensor_value_info("positions", TensorProto.FLOAT, None)]
                    * self.positions
                ),
            ],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
            [numpy_helper.from_array(value, name) for name, value in made.items()],
        )
        model = make_model(graph)
        model.opset_import.append(helper.make_opsetid(DOMAIN, 1))
        content: bytes = model.SerializeToString()
        return content

    def exact(self, x: Array, positions: Array | None = None) -> Array:
        """Compute one text [tokens, hidden] in float64, with these integers as weights.

        `positions` [heads, tokens, tokens] are added to the scores.
        """
        c = {name: value.astype(np.float64) for name, value in self.constants.items()}
        x = x.astype(np.float64)

        def product(name: str, value: Array) -> Array:
            weights = c[f"{name}.weight"] * c[f"{name}.scale"]
            found: Array = (value * c[f"{name}.smooth"]) @ weights + c[f"{name}.bias"]
            return found

        def normalized(value: Array, number: int) -> Array:
            centred = value - value.mean(axis=-1, keepdims=True)
            spread = np.sqrt((centred**2).mean(axis=-1, keepdims=True) + EPSILON)
            found: Array = centred / spread * c[f"gain.{number}"] + c[f"shift.{number}"]
            return found

        query, key, value = np.split(product("qkv", x), 3, axis=-1)
        parts = []
        for head, one in enumerate(np.split(np.arange(self.hidden), self.heads)):
            scores = query[:, one] @ key[:, one].T / np.sqrt(len(one))
            scores += 0 if positions is None else positions[head]
            weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
            parts.append(weights / weights.sum(axis=-1, keepdims=True) @ value[:, one])
        y = normalized(product("out", np.concatenate(parts, axis=-1)) + x, 0)
        up = product("up", y)
        return normalized(product("down", ACTIVATED[self.activation](up)) + y, 1)


def opened(graph: bytes, library: Path, threads: int = 1) -> ort.InferenceSession:
    chosen = options(threads)
    chosen.register_custom_ops_library(str(library))
    return ort.InferenceSession(graph, chosen, providers=["CPUExecutionProvider"])


def run(
    session: ort.InferenceSession,
    x: Array,
    mask: Array | None = None,
    positions: Array | None = None,
) -> Array:
    mask = np.ones(x.shape[:2], np.int32) if mask is None else mask
    added = {} if positions is None else {"positions": positions[None]}
    found: Array = session.run(None, {"x": x, "mask": mask.astype(np.int32), **added})[0]
    return found


def positions_of(seed: int, heads: int, tokens: int) -> Array:
    rng = np.random.default_rng(seed)
    return rng.normal(scale=2, size=(heads, tokens, tokens)).astype(np.float32)


def inputs(seed: int, texts: int, tokens: int, hidden: int) -> Array:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(texts, tokens, hidden)).astype(np.float32)


def with_no_numbers(x: Array) -> Array:
    """Return the texts with an element of each that is no number: infinities and NaN of either sign."""
    broken = x.copy()
    for text, place in enumerate(broken):
        place[text % len(place), text] = (np.inf, np.nan, -np.inf, -np.nan)[text % 4]
    return broken


def runs(kernel: str) -> bool:
    """Return whether this processor has the instructions of a kernel."""
    return kernel not in FLAGS or FLAGS[kernel] in cpu_flags()


def in_process(module: str, kernel: str, *arguments: str) -> Any:
    """Run a module in a process whose sessions take that kernel, and return the JSON that it prints."""
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        env={**os.environ, "TURNOUT_KERNEL": kernel},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
