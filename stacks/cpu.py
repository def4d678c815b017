"""A model's CPU tier: a Lambda function of the quantized model."""

from typing import Any

import aws_cdk as cdk
from constructs import Construct

from contracts.manifest import Manifest
from contracts.names import ALIAS
from contracts.specs import CpuSpec
from stacks.canaries.codedeploy import add_canary
from stacks.function import ImageFunction
from stacks.image_source import Source
from stacks.release import add_probe, add_release


class CpuModelStack(cdk.Stack):
    """The function, its probe and its release. `compared` are its answers that the GPU tier is asked for as well."""

    def __init__(
        self,
        scope: Construct,
        name: str,
        *,
        deployment: str,
        spec: CpuSpec,
        manifest: Manifest,
        image: Source,
        compared: str = "",
        **options: Any,
    ) -> None:
        super().__init__(scope, name, stack_name=name, **options)
        model = ImageFunction(
            self,
            "Model",
            function_name=name,
            image=image,
            memory_mb=spec.memory_mb,
            timeout_s=spec.timeout_s,
            environment={"TURNOUT_MAX_INPUTS": str(spec.max_inputs)},
            snap_start=spec.snap_start,
        )
        address = f"{name}:{ALIAS}"
        if not spec.canary_minutes:
            probe = add_probe(self, deployment, manifest, address, model.alias)
            add_release(self, deployment, manifest, address, probe)
            return
        # A version that does not answer its probe gets no request.
        own = model.own_address
        probe = add_probe(self, deployment, manifest, own, model.function.current_version)
        minutes = spec.canary_minutes
        add_canary(
            self, deployment, manifest, model, minutes=minutes, compared=compared, after=probe
        )
        add_release(self, deployment, manifest, address, model.alias, own_address=own)
