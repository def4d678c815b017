"""The settings of vLLM for pushed weights on an instance: the longest request, the GPUs of a copy, the type."""

import json
from dataclasses import dataclass
from pathlib import Path

from contracts.manifest import Manifest
from contracts.problems import Code, Problem
from contracts.specs import GpuSpec
from stacks.fit.config import FILE, Unsized
from stacks.fit.dtypes import BYTES
from stacks.fit.memory import UTILIZATION, Load, Memory, memory_on
from stacks.fit.model import Model, read_model
from stacks.instances import all_instances, find_instance, gpus

# Tokens of a request by default, also of models that read more: as `turnout fit` takes them.
CONTEXT = 8192
# Where SageMaker puts a model's files. https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-inference-code.html
MODEL_DIR = "/opt/ml/model"
# The key of a manifest's details that has the bytes of all tensors.
STORED = "stored_bytes"


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """One copy of a model under vLLM: its name, the longest request in tokens, its GPUs, and its type.

    `memory` is that of one GPU with `requests` at once.
    """

    model: str
    digest: str
    context: int
    gpus: int
    dtype: str
    requests: int
    memory: Memory
    tools: str | None = None

    @property
    def environment(self) -> dict[str, str]:
        """Return the container's variables: `SM_VLLM_X_Y=v` is vLLM's option `--x-y v`.

        https://github.com/aws/deep-learning-containers
        """
        return {
            "SM_VLLM_MODEL": MODEL_DIR,
            "SM_VLLM_SERVED_MODEL_NAME": self.model,
            "SM_VLLM_MAX_MODEL_LEN": str(self.context),
            "SM_VLLM_TENSOR_PARALLEL_SIZE": str(self.gpus),
            "SM_VLLM_DTYPE": self.dtype if self.dtype in BYTES else "auto",
            "SM_VLLM_GPU_MEMORY_UTILIZATION": str(UTILIZATION),
            **self._tools,
            # The container is given every file, and reaches no network.
            "HF_HUB_OFFLINE": "1",
            "VLLM_NO_USAGE_STATS": "1",
        }

    @property
    def _tools(self) -> dict[str, str]:
        """Return what vLLM has to know of a model that calls tools: without it, it refuses requests with tools."""
        if self.tools is None:
            return {}
        return {"SM_VLLM_ENABLE_AUTO_TOOL_CHOICE": "true", "SM_VLLM_TOOL_CALL_PARSER": self.tools}


def served_tokens(spec: GpuSpec, manifest: Manifest) -> int:
    """Return the tokens of the longest request, prompt and answer together."""
    return min(manifest.max_tokens, spec.max_tokens or CONTEXT)


def serving_of(spec: GpuSpec, manifest: Manifest, folder: Path) -> Serving:
    """Return how vLLM serves a pushed model on its instance; raise Unsized where it has no room there."""
    model = _model(manifest, folder)
    instance = find_instance(spec.instance, all_instances())
    context = served_tokens(spec, manifest)
    load = Load(context=context, concurrency=spec.requests_per_copy)
    # A copy has its instance to itself: more GPUs are more room for requests, and more of them a second.
    split = max(
        count
        for count in (2**power for power in range(instance.gpus.bit_length()))
        if model.shape.splits(count)
    )
    memory = memory_on(model, gpus()[instance.gpu], split, load, spec.requests_per_copy)
    if memory.requests < spec.requests_per_copy:
        raise _too_large(spec, manifest, context, memory)
    return Serving(
        model=manifest.model,
        digest=manifest.pushed,
        context=context,
        gpus=split,
        dtype=model.dtype,
        requests=spec.requests_per_copy,
        memory=memory,
        tools=spec.tools,
    )


def _model(manifest: Manifest, folder: Path) -> Model:
    """Return the size of a pushed model, by what its artefact keeps of it; raise Unsized."""
    document = json.loads((folder / FILE).read_text("utf-8"))
    return read_model(document, manifest.details[STORED], where=folder / FILE)


def _too_large(spec: GpuSpec, manifest: Manifest, context: int, memory: Memory) -> Unsized:
    message = (
        f"an {spec.instance} runs {memory.requests} requests of {context:,} tokens of it at once, and "
        f"requests_per_copy is {spec.requests_per_copy}; lower that or max_tokens, or take an instance that "
        "`turnout fit` names"
    )
    return Unsized(
        manifest.model,
        [Problem(code=Code.MEMORY_SHORT, where=f"models.{manifest.model}.gpu", message=message)],
    )
