"""The process of a component whose image is AWS's container of vLLM: vLLM's own CPU build, or else llama.cpp's server.

The variables of the container are options of vLLM's, https://github.com/aws/deep-learning-containers:
SM_VLLM_MAX_MODEL_LEN is `--max-model-len`, and `true` a bare one.
"""

import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from local.errors import LocalError

ROOT = Path(__file__).resolve().parents[2]
# The last part of the repository's name in AWS's registries.
REPOSITORY = "vllm"
LLAMA_CPP, VLLM = ROOT / ".turnout/llamacpp", ROOT / ".turnout/vllm"
HOMES = (LLAMA_CPP, VLLM)
GUARDED = Path(__file__).with_name("guarded.py")
LLAMA_SERVER = Path(__file__).with_name("llama_server.py")
PREFIX = "SM_VLLM_"
OF_LAPTOP = (
    *("MODEL", "HOST", "PORT", "GPU_MEMORY_UTILIZATION", "TENSOR_PARALLEL_SIZE"),
    *("MAX_MODEL_LEN", "MAX_NUM_SEQS"),
)
# As far as a laptop has the memory, whatever fits a GPU.
MOST_TOKENS, MOST_SEQUENCES = 8192, 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """A command, and the variables beside those of the component."""

    command: tuple[str, ...]
    variables: Mapping[str, str]


def is_vllm(image_uri: str) -> bool:
    """Return true for AWS's image of vLLM."""
    name = image_uri.rpartition("/")[2]
    return name.partition("@")[0].partition(":")[0] == REPOSITORY


def process_of(
    weights: Path,
    port: int,
    environment: Mapping[str, str],
    homes: tuple[Path, Path] = HOMES,
) -> Process:
    """Return the process that serves weights on a port; raise LocalError where neither server is installed."""
    tokens = min(int(environment.get("SM_VLLM_MAX_MODEL_LEN", MOST_TOKENS)), MOST_TOKENS)
    sequences = min(int(environment.get("SM_VLLM_MAX_NUM_SEQS", MOST_SEQUENCES)), MOST_SEQUENCES)
    llama_cpp, vllm = homes
    if (vllm / "ready").is_file():
        return _vllm(
            vllm,
            weights,
            port,
            environment,
            ("--max-model-len", str(tokens), "--max-num-seqs", str(sequences)),
        )
    if (llama_cpp / "ready").is_file():
        return _llama_cpp(llama_cpp, weights, port, tokens, sequences)
    raise LocalError(
        "no server on this machine takes requests as vLLM does; run `make llamacpp`, which installs llama.cpp's "
        "server in under a minute"
    )


def _vllm(
    home: Path, weights: Path, port: int, environment: Mapping[str, str], limits: tuple[str, ...]
) -> Process:
    return Process(
        command=(
            *(sys.executable, str(GUARDED)),
            # The command `vllm` looks for a distribution of that name.
            *(str(home / "bin/python"), "-m", "vllm.entrypoints.openai.api_server"),
            *("--model", str(weights), "--host", "127.0.0.1", "--port", str(port), *limits),
            # Of the machine's memory. To compile the model would take minutes at each start.
            *("--gpu-memory-utilization", "0.4", "--enforce-eager", *_options(environment)),
        ),
        # The cache of keys and values gets a GB.
        variables={"VLLM_CPU_KVCACHE_SPACE": "1", "HF_HUB_OFFLINE": "1", "DO_NOT_TRACK": "1"},
    )


def _options(environment: Mapping[str, str]) -> Iterator[str]:
    """Yield vLLM's options in the variables of a component, but for those that are a laptop's own."""
    for variable, value in sorted(environment.items()):
        name = variable.removeprefix(PREFIX)
        if name not in (variable, *OF_LAPTOP):
            yield "--" + name.lower().replace("_", "-")
            if value != "true":
                yield value


def server_of(home: Path) -> tuple[str, ...]:
    """Return the words that start llama.cpp's server of an environment."""
    return str(home / "bin/python"), str(LLAMA_SERVER)


def _llama_cpp(home: Path, weights: Path, port: int, tokens: int, sequences: int) -> Process:
    return Process(
        command=(
            *(sys.executable, "-m", "local.vllm", str(home), str(weights)),
            *("--port", str(port), "--tokens", str(tokens), "--sequences", str(sequences)),
            *("--threads", str(os.cpu_count() or 1)),
        ),
        variables={"PYTHONPATH": str(ROOT)},
    )
