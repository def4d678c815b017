"""The server of each GPU tier: our own, or vLLM with weights that were pushed; and tiers that neither can serve."""

from collections.abc import Mapping
from pathlib import Path

from contracts.manifest import Manifest
from contracts.problems import Code, Problem, ProblemsFound
from contracts.specs import Deployment, GpuSpec, ModelSpec
from contracts.tasks import Server, Tier
from stacks.instances import all_instances, instances
from stacks.weights.container import container_problem
from stacks.weights.serving import Serving, serving_of


def server_of(spec: GpuSpec, manifest: Manifest) -> Server:
    """Return what serves a GPU tier: by default vLLM where the weights were pushed, else our own server."""
    if spec.server is not Server.AUTO:
        return spec.server
    return Server.VLLM if manifest.pushed else Server.TURNOUT


def missing(model: ModelSpec, tier: Tier, out: Path) -> Problem:
    """Return the problem of a tier without an artefact, with the command that makes it."""
    if tier is Tier.GPU and model.gpu and model.gpu.server is Server.VLLM:
        message = f"has no weights in the deployment's bucket; run `turnout push {model.name}`"
        return Problem(code=Code.WEIGHTS_NOT_PUSHED, where=model.name, message=message)
    message = f"has no artefact for its {tier} tier in {out}; run `turnout build`"
    return Problem(code=Code.ARTEFACT_MISSING, where=model.name, message=message)


def read_servings(
    deployment: Deployment, out: Path, manifests: Mapping[tuple[str, Tier], Manifest]
) -> tuple[dict[str, Serving], list[Problem]]:
    """Return how vLLM serves each model whose weights were pushed, and the problems of those that nothing serves."""
    servings: dict[str, Serving] = {}
    problems: list[Problem] = []
    for model in deployment.models:
        manifest = manifests.get((model.name, Tier.GPU))
        if model.gpu is None or manifest is None:
            continue
        if unfit := _unfit(model, model.gpu, manifest):
            problems.append(unfit)
        elif manifest.pushed and (moved := container_problem(deployment, model.name, manifest)):
            problems.append(moved)
        elif manifest.pushed:
            try:
                folder = out / model.name / Tier.GPU
                servings[model.name] = serving_of(model.gpu, manifest, folder)
            except ProblemsFound as error:
                problems += error.problems
    return servings, problems


def _unfit(model: ModelSpec, spec: GpuSpec, manifest: Manifest) -> Problem | None:
    """Return why an artefact is not for its server, or the instance is not."""
    where = f"models.{model.name}.gpu"
    vllm = server_of(spec, manifest) is Server.VLLM
    if vllm != bool(manifest.pushed):
        needs = "weights in S3, and none were pushed" if vllm else "an image, and these were pushed"
        command = f"turnout {'push' if vllm else 'build'} {model.name}"
        message = f"{server_of(spec, manifest)} serves from {needs}; run `{command}`"
        return Problem(code=Code.WEIGHTS_NOT_PUSHED, where=f"{where}.server", message=message)
    # An instance that is in no table is a problem of the settings.
    several = spec.instance in all_instances() and spec.instance not in instances()
    if several and not vllm:
        message = (
            f"our own server uses one GPU, and {spec.instance} has more; take one of {', '.join(instances())}, or "
            f"run `turnout push {model.name}` to have vLLM serve it"
        )
        return Problem(code=Code.INSTANCE_UNKNOWN, where=f"{where}.instance", message=message)
    return None
