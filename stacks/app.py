"""All stacks of a deployment, checked by cdk-nag and by our own rules at synthesis.

An exception to one of its rules stands beside the resource that it is for, as `acknowledge` with the reason.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aws_cdk as cdk
from cdk_nag import AwsSolutionsChecks

from contracts.manifest import Manifest
from contracts.names import (
    asset_prefix,
    image_tag_prefix,
    model_stack,
    router_stack,
    states_stack,
)
from contracts.problems import Problem
from contracts.specs import CpuSpec, Deployment, GpuSpec
from contracts.tasks import Tier
from images.made.record import read_record
from images.staging import Staging
from stacks.contents import contents_of
from stacks.cpu import CpuModelStack
from stacks.errors import StackError
from stacks.gpu.stack import GpuModelStack
from stacks.image_source import BuildContext, Source
from stacks.images import llm_image
from stacks.limits.quotas import quota_note
from stacks.limits.throttle import stage_throttle
from stacks.pushed_images import pushed_images
from stacks.router import RouterStack
from stacks.routes.sampling import compared, sampled_models
from stacks.routes.table import Artefacts, make_routes, read_artefacts
from stacks.rules.plugin import Rules
from stacks.settings import aws_problems
from stacks.states.stack import StatesStack, observed
from stacks.timeouts import timeout_problems
from stacks.weights.container import container_of
from stacks.weights.serving import Serving
from stacks.weights.stack import add_weights_stack


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """The inputs of a deployment: settings, sealed artefacts, key hashes, a folder for staging, one of images.

    Pushed images that the record in `images` has are deployed; an engine builds all others.
    """

    deployment: Deployment
    out: Path
    key_hashes: Mapping[str, str]
    staging: Path
    images: Path
    account: str | None = None


def make_app(inputs: Inputs, **options: Any) -> cdk.App:
    """Return the CDK app with every stack, checked by cdk-nag at synthesis; raise StackError."""
    artefacts, problems = read_artefacts(inputs.deployment, inputs.out)
    problems += aws_problems(inputs.deployment)
    if problems:
        raise StackError(problems)
    images, problems = image_sources(inputs, artefacts)
    # A record that cannot be read is one of the problems already.
    if problems := problems or timeout_problems(inputs.deployment, read_record(inputs.images)):
        raise StackError(problems)
    app = cdk.App(**options)
    # Since its version 3, cdk-nag is a validation plugin and no longer an aspect.
    cdk.Validations.of(app).add_plugins(AwsSolutionsChecks(app), Rules())
    add_stacks(app, inputs, artefacts, images)
    # The tag lets a user find and bill all resources of a deployment, and find its stacks: cdk.json has
    # `explicitStackTags` off for these.
    cdk.Tags.of(app).add("turnout", inputs.deployment.name)
    return app


def synthesizer(deployment: str) -> cdk.DefaultStackSynthesizer:
    """Return a stack's synthesizer: its assets are known for the deployment's, long after its stacks are deleted.

    Each stack has one of its own. Of an app's they would share the list of assets, and each would publish all of them.
    """
    return cdk.DefaultStackSynthesizer(
        docker_tag_prefix=image_tag_prefix(deployment), bucket_prefix=asset_prefix(deployment)
    )


def image_sources(inputs: Inputs, artefacts: Artefacts) -> tuple[dict[str, Source], list[Problem]]:
    """Return the source of every image by its name, staged where an engine builds it, and their problems."""
    routes = make_routes(inputs.deployment, artefacts, inputs.key_hashes, inputs.out)
    contents = contents_of(inputs.deployment, inputs.out, routes)
    pushed, problems = pushed_images(contents, inputs.images, inputs.deployment.region)
    staging = Staging(folder=inputs.staging)
    sources: dict[str, Source] = {
        one.name: pushed.get(one.name) or BuildContext(folder=staging.image(one))
        for one in contents
    }
    return sources, problems


def add_stacks(
    app: cdk.App, inputs: Inputs, artefacts: Artefacts, images: Mapping[str, Source]
) -> None:
    deployment, staging = inputs.deployment, Staging(folder=inputs.staging)
    env = cdk.Environment(account=inputs.account, region=deployment.region)
    name = router_stack(deployment.name)
    sampled = sampled_models(deployment, artefacts.cascades)
    router = RouterStack(
        app,
        name,
        deployment=deployment,
        throttle=stage_throttle(deployment, inputs.out),
        image=images[name],
        prober=staging.prober(f"{name}-prober"),
        sampler=staging.sampler(f"{name}-sampler") if sampled else None,
        sampled=sampled,
        pushed=bool(artefacts.servings),
        env=env,
        synthesizer=synthesizer(deployment.name),
        description="Turnout: the API and the router",
    )
    stacks: dict[Tier, list[cdk.Stack]] = {tier: [] for tier in Tier}
    for model in deployment.models:
        for tier, spec in model.tiers.items():
            name = model_stack(deployment.name, model.name, tier)
            stack = add_model_stack(
                app,
                name,
                spec,
                compared=compared(model, artefacts.cascades.get(model.name)),
                deployment=deployment.name,
                manifest=artefacts.manifests[model.name, tier],
                image=images.get(name)
                or vllm_image(deployment, artefacts.manifests[model.name, tier]),
                serving=artefacts.servings.get(model.name) if tier is Tier.GPU else None,
                env=env,
                synthesizer=synthesizer(deployment.name),
                description=f"Turnout: {model.name} on its {tier} tier",
            )
            if isinstance(spec, GpuSpec):
                note = f"{name} {quota_note(spec.instance, deployment.region)}"
                cdk.Annotations.of(stack).add_info_v2("turnout:gpu-quota", note)
            stack.add_stack_dependency(router)
            stacks[tier].append(stack)
    # After a stack that fails, the CDK's command line deploys no other. A GPU that AWS does not have comes last.
    before_gpus = stacks[Tier.CPU]
    if artefacts.servings:
        weights = add_weights_stack(app, deployment.name, inputs.account, deployment.region)
        before_gpus = [*before_gpus, weights]
    if deployment.has_gpu:
        states = add_states_stack(app, deployment, staging, env)
        states.add_stack_dependency(router)
        before_gpus = [*before_gpus, states]
    for gpu in stacks[Tier.GPU]:
        for other in before_gpus:
            gpu.add_stack_dependency(other)


def vllm_image(deployment: Deployment, manifest: Manifest) -> Source:
    """Return AWS's container of vLLM, the very image that an artefact was pushed for."""
    sealed = container_of(manifest)
    return llm_image(deployment.region, sealed.digest if sealed else "")


def add_states_stack(
    app: cdk.App, deployment: Deployment, staging: Staging, env: cdk.Environment
) -> cdk.Stack:
    name = states_stack(deployment.name)
    return StatesStack(
        app,
        name,
        deployment=deployment,
        observer=staging.observer(f"{name}-observer", observed(deployment)),
        env=env,
        synthesizer=synthesizer(deployment.name),
        description="Turnout: what is known of the GPU tiers",
    )


def add_model_stack(
    app: cdk.App,
    name: str,
    spec: CpuSpec | GpuSpec,
    *,
    compared: str,
    serving: Serving | None,
    **options: Any,
) -> cdk.Stack:
    if isinstance(spec, CpuSpec):
        return CpuModelStack(app, name, spec=spec, compared=compared, **options)
    return GpuModelStack(app, name, spec=spec, serving=serving, **options)
