"""Runtimes that are compared on one model, each in a process of its own (`benchmarks.contenders.worker`).

A contender's module is imported in the contender's own environment, which holds its packages and none of ours: here
nothing but the standard library and numpy is imported before a contender is opened.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A text with its token ids, and for generators the ids that follow it."""

    text: str
    ids: tuple[int, ...]
    continuation: tuple[int, ...] = ()

    @classmethod
    def of(cls, raw: dict[str, Any]) -> Self:
        return cls(
            text=raw["text"], ids=tuple(raw["ids"]), continuation=tuple(raw.get("continuation", ()))
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """The arguments of a contender.

    `model` is the Hugging Face folder, `artefact` the sealed folder made of it, `scratch` a folder for graphs made for
    the contenders, `items` a file of JSON lines. `clock` is "wall", or "cpu": the processor time of the whole process,
    which for one thread equals the wall clock of an unshared machine.
    """

    model: Path
    artefact: Path
    scratch: Path
    items: Path
    threads: int
    clock: str = "wall"

    @classmethod
    def of(cls, raw: dict[str, Any]) -> Self:
        # Annotations are the classes themselves, as this module does not postpone their evaluation.
        paths = {field.name: Path(raw[field.name]) for field in fields(cls) if field.type is Path}
        return cls(threads=int(raw["threads"]), clock=raw["clock"], **paths)

    def raw(self) -> dict[str, Any]:
        return {field.name: _plain(getattr(self, field.name)) for field in fields(self)}


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else value


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A loaded model: `prepare` is not timed, `run` is, and `read` returns the answer.

    The answer is the class of a text, or the likeliest token before each of the item's `continuation`.
    """

    run: Callable[[Any], Any]
    prepare: Callable[[Item], Any] = lambda item: item
    read: Callable[[Any], Sequence[int]] = lambda answer: answer
    version: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """`environment` is one of `benchmarks.contenders.environments`, `opens` is module:function."""

    name: str
    environment: str
    opens: str


OURS = "Turnout"
PEAK = Contender(name="INT8 peak", environment="project", opens="peak:matrix_product")

REQUEST = "Turnout, text to answer"
# What a build has besides what it chose.
CANDIDATES = (
    Contender(name="Turnout without kernels", environment="project", opens="candidates:smoothed"),
    Contender(name="Turnout with kernels", environment="project", opens="candidates:kernels"),
    Contender(name="Turnout on OpenVINO", environment="openvino", opens="candidates:openvino"),
    Contender(
        name="Turnout on OpenVINO, 2 in float",
        environment="openvino",
        opens="candidates:openvino_mixed",
    ),
)
ENCODERS = (
    Contender(name=OURS, environment="project", opens="ours:graph"),
    Contender(name=REQUEST, environment="project", opens="ours:request"),
    *CANDIDATES,
    Contender(name="torch fp32", environment="project", opens="torch_:full"),
    Contender(name="torch bf16", environment="project", opens="torch_:half"),
    Contender(name="torch INT8, dynamic", environment="project", opens="torch_:dynamic"),
    Contender(name="torch compiled", environment="project", opens="torch_:compiled"),
    Contender(name="ONNX Runtime fp32", environment="project", opens="onnx_runtime:full"),
    Contender(
        name="ONNX Runtime INT8, dynamic per tensor",
        environment="project",
        opens="onnx_runtime:dynamic",
    ),
    Contender(
        name="ONNX Runtime INT8 of the fused graph",
        environment="project",
        opens="onnx_runtime:fused",
    ),
    Contender(name="OpenVINO fp32", environment="openvino", opens="openvino_:full"),
    Contender(name="OpenVINO bf16", environment="openvino", opens="openvino_:half"),
    Contender(
        name="OpenVINO INT8, NNCF on 300 rows", environment="openvino", opens="openvino_:calibrated"
    ),
    Contender(
        name="OpenVINO INT8, NNCF on 1,000 rows",
        environment="openvino",
        opens="openvino_:calibrated_on_more",
    ),
    Contender(
        name="OpenVINO INT8, NNCF with accuracy control",
        environment="openvino",
        opens="openvino_:controlled",
    ),
    Contender(name="CTranslate2 INT8", environment="ctranslate2", opens="ctranslate:encoder"),
    Contender(
        name="sentence-transformers ONNX fp32", environment="sentence", opens="sentence:full"
    ),
    Contender(
        name="sentence-transformers ONNX INT8", environment="sentence", opens="sentence:small"
    ),
)

ALONE = "Turnout, text by text on all threads"
EMBEDDERS = (
    Contender(name=OURS, environment="project", opens="embedders:ours"),
    Contender(
        name=ALONE,
        environment="project",
        opens="embedders:text_by_text",
    ),
    Contender(
        name="sentence-transformers, torch fp32",
        environment="project",
        opens="embedders:sentence_transformers",
    ),
    Contender(
        name="sentence-transformers, ONNX INT8",
        environment="sentence",
        opens="sentence_backends:onnx_int8",
    ),
    Contender(
        name="sentence-transformers, OpenVINO INT8",
        environment="sentence",
        opens="sentence_backends:openvino_int8",
    ),
    Contender(
        name="OpenVINO fp32, throughput hint", environment="openvino", opens="openvino_:embedder"
    ),
    Contender(
        name="OpenVINO INT8, NNCF, throughput hint",
        environment="openvino",
        opens="openvino_:calibrated_embedder",
    ),
)

DECODERS = (
    Contender(name=OURS, environment="project", opens="ours:writes"),
    Contender(name="torch fp32", environment="project", opens="torch_:writes"),
    Contender(name="llama.cpp, GGUF as it came", environment="llama", opens="llama:writes"),
)
