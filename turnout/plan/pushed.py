"""The GPU tiers that vLLM serves, in a plan: the memory of their GPUs, and whether they are proved."""

from pathlib import Path
from typing import Any

from contracts.manifest import Manifest
from contracts.problems import Problem
from contracts.specs import Deployment, GpuSpec
from contracts.tasks import Server, Tier
from stacks.fit.memory import GIB
from stacks.instances import all_instances, find_instance
from stacks.routes.servers import read_servings
from stacks.weights.serving import Serving
from turnout.plan.latency import read_artefact

NOT_PUSHED, PUSHED = "not pushed yet; `turnout push` does it", "pushed"


def servings(deployment: Deployment, out: Path) -> tuple[dict[str, Serving], list[Problem]]:
    """Return how vLLM serves each pushed model, and the problems of those that it cannot serve."""
    manifests: dict[tuple[str, Tier], Manifest] = {}
    for model in deployment.models:
        found = read_artefact(out / model.name / Tier.GPU)
        if model.gpu and found and (found.pushed or model.gpu.server is Server.VLLM):
            manifests[model.name, Tier.GPU] = found
    return read_servings(deployment, out, manifests)


def pushed_bytes(deployment: Deployment, out: Path) -> int:
    """Return the bytes of all weights that the deployment has in S3; the same weights lie there once."""
    found = (read_artefact(out / model.name / Tier.GPU) for model in deployment.models if model.gpu)
    sizes = {one.pushed: int(one.provenance["size_bytes"]) for one in found if one and one.pushed}
    return sum(sizes.values())


def serving_json(serving: Serving, spec: GpuSpec) -> dict[str, Any]:
    """Return the memory and the splits of a copy, as `turnout fit` has them."""
    return {
        "gpu": find_instance(spec.instance, all_instances()).gpu,
        "tensor_parallel_size": serving.gpus,
        "dtype": serving.dtype,
        "context": serving.context,
        "requests_per_copy": serving.memory.requests,
        "weights_bytes": serving.memory.weights,
        "kv_cache_bytes": max(0, serving.memory.free),
    }


def shown_serving(found: dict[str, Any], model: str) -> str:
    """Return a line on how vLLM serves a model."""
    return (
        f"{model} gpu: vLLM, on each of {found['tensor_parallel_size']} {found['gpu']} weights in {found['dtype']} of "
        f"{found['weights_bytes'] / GIB:.2f} GiB and {found['kv_cache_bytes'] / GIB:.2f} GiB of KV cache: "
        f"{found['requests_per_copy']} requests of {found['context']:,} tokens at once"
    )
