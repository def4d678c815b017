"""A model's GPU tier: a SageMaker endpoint with one inference component, which alone can be scaled to no copy.

Its container is ours, with the model in its image, or AWS's with vLLM, which is given weights that lie in S3.
"""

from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from aws_cdk import aws_sagemaker as sagemaker
from constructs import Construct

from contracts.manifest import Manifest
from contracts.names import endpoint
from contracts.specs import GpuSpec
from stacks.function import add_log, service
from stacks.gpu.scaling import add_scaling
from stacks.gpu.updates import SPARE_INSTANCES, add_update_policy
from stacks.image_source import Source, container_image
from stacks.release import add_release
from stacks.weights.access import add_marker, allow_weights, data_source
from stacks.weights.serving import Serving

VARIANT = "main"
# The container's onnxruntime-gpu is built for CUDA 13, as AWS's container of vLLM is (`stacks/images.json`). It needs
# driver 580: older AMIs of SageMaker have older ones.
INFERENCE_AMI = "al2023-ami-sagemaker-inference-gpu-4-1"
# A container loads its model into GPU memory before it is ready; SageMaker waits for at most an hour.
STARTUP_S = 900
# What SageMaker waits for at most, both for the download of weights and for vLLM, which loads them and compiles.
LONGEST_STARTUP_S = 3600


class GpuModelStack(cdk.Stack):
    """Model, endpoint and inference component.

    Model and endpoint configuration have no fixed names: they cannot be updated, and a replacement with the same name
    would collide with the old one. The endpoint's name and logical id have the instance type, which it cannot change.
    """

    def __init__(
        self,
        scope: Construct,
        name: str,
        *,
        deployment: str,
        spec: GpuSpec,
        manifest: Manifest,
        image: Source,
        serving: Serving | None = None,
        **options: Any,
    ) -> None:
        """Make the stack; with `serving`, of weights that vLLM is given."""
        super().__init__(scope, name, stack_name=name, **options)
        self.spec, self.deployment, self.serving = spec, deployment, serving
        self.name = endpoint(deployment, manifest.model, spec.instance)
        # A component cannot be created without a copy ("Inference components copy count an integer larger than 0"):
        # one that may sleep is put to sleep by its scaling. https://github.com/stdapi-ai/stdapi.ai/issues/43
        self.copies = max(1, spec.min_instances)
        # Of another instance type these are other resources: the new ones stand before the old ones are deleted.
        self.suffix = spec.instance.removeprefix("ml.").title().replace(".", "")
        repository, uri = container_image(self, image)
        role = self.add_role(repository, self.add_logs())
        model = self.add_model(uri, role)
        if serving:
            model.node.add_dependency(add_marker(self, deployment, manifest))
        component = self.add_component(model, self.add_endpoint(role))
        add_scaling(self, self.suffix, name=self.name, spec=spec, after=component)
        add_release(self, deployment, manifest, self.name, component)

    @property
    def startup_s(self) -> int:
        return LONGEST_STARTUP_S if self.serving else STARTUP_S

    def add_logs(self) -> list[logs.LogGroup]:
        """Create SageMaker's log groups first: those it creates itself never expire and outlive the stack."""
        return [
            add_log(self, f"{kind}Log", f"/aws/sagemaker/{kind}/{self.name}")
            for kind in ("Endpoints", "InferenceComponents")
        ]

    def add_role(self, repository: ecr.IRepository, groups: list[logs.LogGroup]) -> iam.Role:
        """Return a role that may pull the image, and write these logs and metrics, as AWS's for CreateModel.

        https://docs.aws.amazon.com/sagemaker/latest/dg/sagemaker-roles.html#sagemaker-roles-createmodel-perms
        """
        role = iam.Role(self, "Role", assumed_by=service(self, "sagemaker"))
        repository.grant_pull(role)
        for group in groups:
            group.grant_write(role)
            group.grant(role, "logs:DescribeLogStreams")
        # Neither has this action a resource to be narrowed to.
        if self.serving:
            allow_weights(role, self.deployment, self.serving.digest)
        metrics = iam.PolicyStatement(actions=["cloudwatch:PutMetricData"], resources=["*"])
        role.add_to_policy(metrics)
        cdk.Validations.of(role).acknowledge(
            cdk.Acknowledgment(
                id="AwsSolutions-IAM5[Resource::*]",
                reason="ecr:GetAuthorizationToken and cloudwatch:PutMetricData have no resource to be narrowed to",
            )
        )
        return role

    def add_model(self, image: str, role: iam.Role) -> sagemaker.CfnModel:
        model = sagemaker.CfnModel(
            self,
            "Model",
            execution_role_arn=role.role_arn,
            # The model is in the image, or SageMaker downloads it: the container calls nobody.
            enable_network_isolation=True,
            primary_container=self.container(image),
        )
        # SageMaker checks the role's permissions at creation, so its policies have to be attached before.
        model.node.add_dependency(role)
        return model

    def container(self, image: str) -> sagemaker.CfnModel.ContainerDefinitionProperty:
        definition = sagemaker.CfnModel.ContainerDefinitionProperty
        if self.serving:
            return definition(
                image=image,
                model_data_source=data_source(self, self.deployment, self.serving.digest),
                environment=self.serving.environment,
            )
        return definition(
            image=image,
            environment={
                "TURNOUT_DEVICE": "cuda",
                "TURNOUT_MAX_INPUTS": str(self.spec.max_inputs),
                "TURNOUT_TIMEOUT_S": str(self.spec.timeout_s),
            },
        )

    def add_endpoint(self, role: iam.Role) -> sagemaker.CfnEndpoint:
        config = sagemaker.CfnEndpointConfig(
            self,
            f"EndpointConfig{self.suffix}",
            execution_role_arn=role.role_arn,
            # Of an endpoint of components it counts beside the model's own.
            enable_network_isolation=True,
            production_variants=[
                sagemaker.CfnEndpointConfig.ProductionVariantProperty(
                    variant_name=VARIANT,
                    instance_type=self.spec.instance,
                    initial_instance_count=self.copies,
                    inference_ami_version=INFERENCE_AMI,
                    container_startup_health_check_timeout_in_seconds=self.startup_s,
                    managed_instance_scaling=sagemaker.CfnEndpointConfig.ManagedInstanceScalingProperty(
                        status="ENABLED",
                        min_instance_count=self.spec.min_instances,
                        max_instance_count=self.spec.max_instances + SPARE_INSTANCES,
                    ),
                    # RANDOM would send a request to a busy instance while another is idle.
                    # https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_ProductionVariantRoutingConfig.html
                    routing_config=sagemaker.CfnEndpointConfig.RoutingConfigProperty(
                        routing_strategy="LEAST_OUTSTANDING_REQUESTS"
                    ),
                )
            ],
        )
        config.node.add_dependency(role)
        made = sagemaker.CfnEndpoint(
            self,
            f"Endpoint{self.suffix}",
            endpoint_name=self.name,
            endpoint_config_name=config.attr_endpoint_config_name,
        )
        # The role must keep its permissions until the endpoint is deleted.
        made.node.add_dependency(role)
        return made

    def add_component(
        self, model: sagemaker.CfnModel, place: sagemaker.CfnEndpoint
    ) -> sagemaker.CfnInferenceComponent:
        component = sagemaker.CfnInferenceComponent
        requirements = component.InferenceComponentComputeResourceRequirementsProperty(
            number_of_accelerator_devices_required=self.serving.gpus if self.serving else 1,
            min_memory_required_in_mb=self.spec.memory_mb,
        )
        placed = component(
            self,
            f"InferenceComponent{self.suffix}",
            inference_component_name=self.name,
            endpoint_name=place.attr_endpoint_name,
            variant_name=VARIANT,
            specification=component.InferenceComponentSpecificationProperty(
                model_name=model.attr_model_name,
                compute_resource_requirements=requirements,
                startup_parameters=component.InferenceComponentStartupParametersProperty(
                    container_startup_health_check_timeout_in_seconds=self.startup_s,
                    model_data_download_timeout_in_seconds=(
                        LONGEST_STARTUP_S if self.serving else None
                    ),
                ),
            ),
            runtime_config=component.InferenceComponentRuntimeConfigProperty(
                copy_count=self.copies
            ),
            deployment_config=add_update_policy(
                self, self.suffix, name=self.name, variant=VARIANT, spec=self.spec
            ),
        )
        # An endpoint cannot be deleted while it has inference components.
        placed.node.add_dependency(place)
        return placed
