"""One artefact to build, and the inputs of its build key; `build/plan.py` compares the key."""

import importlib.metadata
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

from build.evaluation.comparison import Comparison
from build.evaluation.gpu_results import GpuResult
from build.evaluation.rows import Row
from build.export import exporters
from build.sources.source import GraphSource, Source, TableSource
from build.tasks.description import TaskDescription
from build.workspace.runtimes import openvino_version, runtimes_to_try
from contracts.manifest import CHAT
from contracts.specs import Gate
from contracts.tasks import Runtime, Tier
from functions.inference.runtimes.threads import threads_of

# An input of every build key: raised whenever our own code would build other bytes from the same inputs.
BUILD_CODE_REVISION = 16

# Another version of any of these may make other graphs of the same source.
TOOLS = ("onnx", "onnxruntime", "tokenizers", "torch", "transformers")


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One artefact to build: a model on a tier. `why` is the reason to build it, "" for one that is current.

    `origin` is the version that a remote source is pinned to. With `edge`, a copy that runs by itself is made as well;
    where that copy alone is missing, the artefact is `sealed` already. `kernels` is the digest of our operators where
    candidates may have them; `asks_kernels` whether the user says so, None where nothing is said, and `no_kernels` why
    they are not there then. `gpu_results` are those of a GPU tier's model.
    Vectors are proved with fewer `dimensions` as well.
    """

    model: str
    tier: Tier
    source: Source
    rows: tuple[Row, ...]
    quantize: bool
    objective: str
    runtime: Runtime
    memory_mb: int
    portable: bool
    edge: bool
    origin: str
    gate: Gate
    rows_digest: str
    revision: int
    gpu_results: tuple[GpuResult, ...] = ()
    dimensions: tuple[int, ...] = ()
    kernels: str = ""
    asks_kernels: bool | None = None
    no_kernels: str = ""
    build_key: str = ""
    why: str = ""
    sealed: bool = False

    @property
    def task(self) -> TaskDescription:
        """Return the task of the model."""
        return self.source.task

    @property
    def comparison(self) -> Comparison:
        """Return the comparison of the model's answers with the reference's."""
        return self.task.comparison_of(self.source.details)

    @property
    def current(self) -> bool:
        """Return whether there is nothing to do."""
        return not self.why

    @property
    def name(self) -> str:
        """Return the name that messages and progress have for it."""
        return f"{self.model} {self.tier}"

    @property
    def runtimes(self) -> tuple[Runtime, ...]:
        """Return the runtimes that candidates are made for."""
        if self.tier is Tier.GPU:
            return (Runtime.ONNX_RUNTIME,)
        return runtimes_to_try(
            self.runtime,
            self.objective,
            self.source.weight_bytes,
            edge=self.edge,
            available=bool(openvino_version()),
        )

    @property
    def made_from(self) -> dict[str, Any]:
        """Return everything that decides the bytes of the exported graphs."""
        return {
            "source": self.source.digest,
            "task": self.source.task.name,
            "max_tokens": self.source.max_tokens,
            "labels": self.source.labels,
            "inputs": self.source.inputs if isinstance(self.source, GraphSource) else (),
            "toolchain": toolchain(self.source),
            "revision": self.revision,
            # A GGUF file's digest covers its template, and how it is read is of this code.
            **({CHAT: self.source.details[CHAT]} if CHAT in self.source.details else {}),
        }

    @property
    def read_by(self) -> dict[str, Any]:
        """Return what decides the reference's answers besides the source and its rows."""
        return {
            "asked_tokens": self.source.asked_tokens,
            "asked_labels": self.source.asked_labels,
            # transformers and torch are among the tools.
            "sentence-transformers": importlib.metadata.version("sentence-transformers"),
        }

    @property
    def decided_by(self) -> dict[str, Any]:
        """Return the inputs of the build key: an artefact made from the same ones is current."""
        return {
            **self.made_from,
            **self.read_by,
            "tier": self.tier,
            "quantize": self.quantize,
            "objective": self.objective,
            "portable": self.portable,
            "threads": threads_of(self.memory_mb) if self.tier is Tier.CPU else 0,
            "gate": asdict(self.gate),
            "origin": self.origin,
            "eval": self.rows_digest,
            **({"dimensions": self.dimensions} if self.dimensions else {}),
            # By default left out: to compile them leaves what is built as it is, as to install an emulator does.
            **({} if self.asks_kernels is None else {"kernels": self.kernels}),
            # Left out by default, for the same reason.
            **({"runtime": self.runtime} if self.runtime is not Runtime.AUTO else {}),
            # A result of a GPU may have another precision ship.
            **({"gpu_results": list(map(asdict, self.gpu_results))} if self.gpu_results else {}),
        }


def toolchain(source: Source) -> dict[str, str]:
    """Return the versions of the tools that decide an artefact's bytes, without a build mark such as +cpu."""
    exporter = {} if isinstance(source, GraphSource | TableSource) else exporters.versions()
    return {**_versions(), **exporter, **source.tools}


@cache
def _versions() -> dict[str, str]:
    # Read once: to find and parse the metadata takes 30 ms, and every entry of the cache asks for it.
    return {tool: importlib.metadata.version(tool).split("+")[0] for tool in TOOLS}
