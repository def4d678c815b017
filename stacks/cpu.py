"""A model's CPU tier: a Lambda function of the quantized model."""

from typing import Any

import aws_cdk as cdk
from constructs import Construct

from contracts.manifest import Manifest
from contracts.names import ALIAS
from contracts.specs import CpuSpec
from stacks.function import ImageFunction
from stacks.image_source import Source
from stacks.registry_row import add_registry_row


class CpuModelStack(cdk.Stack):
    """The function and its release row."""

    def __init__(
        self,
        scope: Construct,
        name: str,
        *,
        deployment: str,
        spec: CpuSpec,
        manifest: Manifest,
        image: Source,
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
        # The row is written after the alias: what the registry lists can be invoked.
        add_registry_row(self, deployment, manifest, f"{name}:{ALIAS}", model.alias)
