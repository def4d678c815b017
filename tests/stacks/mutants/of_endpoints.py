"""Faults of SageMaker endpoints."""

from stacks.rules.document import Document
from stacks.rules.endpoints import COMPONENT, CONFIG, ENDPOINT, TARGET
from stacks.rules.functions import LOG_GROUP
from stacks.rules.scaling import POLICY
from tests.stacks.mutants.mutation import (
    GPU,
    SLEEPER,
    Mutation,
    first,
    lint,
    model,
    ours,
    resource,
    variant,
)

MODEL = "AWS::SageMaker::Model"


def _rename(stack: Document, name: str) -> None:
    """Give another name to the endpoint, its component, what scales that, and both logs."""
    old = first(stack, ENDPOINT)["EndpointName"]
    first(stack, ENDPOINT)["EndpointName"] = name
    first(stack, COMPONENT)["InferenceComponentName"] = name
    for kind in (TARGET, POLICY):
        for scaled in stack.of(kind).values():
            scaled["ResourceId"] = f"inference-component/{name}"
    for group in stack.of(LOG_GROUP).values():
        group["LogGroupName"] = group["LogGroupName"].replace(old, name)


def model_with_a_name(stack: Document) -> None:
    first(stack, MODEL)["ModelName"] = "support-intent"


def configuration_with_a_name(stack: Document) -> None:
    first(stack, CONFIG)["EndpointConfigName"] = "support-intent"


def ami_of_sagemaker(stack: Document) -> None:
    del variant(stack)["InferenceAmiVersion"]


def ami_of_an_older_cuda(stack: Document) -> None:
    variant(stack)["InferenceAmiVersion"] = "al2-ami-sagemaker-inference-gpu-3-1"


def ami_unknown(stack: Document) -> None:
    variant(stack)["InferenceAmiVersion"] = "al2023-ami-sagemaker-inference-gpu-9-1"


def volume_beside_own_disk(stack: Document) -> None:
    variant(stack)["VolumeSizeInGB"] = 100


def one_instance_at_most(stack: Document) -> None:
    variant(stack)["ManagedInstanceScaling"]["MaxInstanceCount"] = 1


def configuration_without_role(stack: Document) -> None:
    del first(stack, CONFIG)["ExecutionRoleArn"]


def model_in_the_variant(stack: Document) -> None:
    variant(stack)["ModelName"] = {"Fn::GetAtt": ["Model", "ModelName"]}


def component_on_no_variant(stack: Document) -> None:
    first(stack, COMPONENT)["VariantName"] = "AllTraffic"


def component_without_copy(stack: Document) -> None:
    first(stack, COMPONENT)["RuntimeConfig"]["CopyCount"] = 0


def endpoint_without_instance_type(stack: Document) -> None:
    _rename(stack, "support-intent-gpu")


def instance_unknown(stack: Document) -> None:
    variant(stack)["InstanceType"] = "ml.g6.tiny"
    _rename(stack, "support-intent-gpu-g6-tiny")


def endpoint_before_its_component(stack: Document) -> None:
    placed = resource(stack, COMPONENT)
    placed["Properties"]["EndpointName"] = first(stack, ENDPOINT)["EndpointName"]
    del placed["DependsOn"]


def log_made_by_sagemaker(stack: Document) -> None:
    first(stack, LOG_GROUP)["LogGroupName"] = "/aws/sagemaker/Endpoints/another"


def start_of_two_hours(stack: Document) -> None:
    variant(stack)["ContainerStartupHealthCheckTimeoutInSeconds"] = 7200


def memory_of_no_component(stack: Document) -> None:
    specification = first(stack, COMPONENT)["Specification"]
    specification["ComputeResourceRequirements"]["MinMemoryRequiredInMb"] = 64


def routing_misspelt(stack: Document) -> None:
    variant(stack)["RoutingConfig"]["RoutingStrategy"] = "LEAST_BUSY"


def scaling_misspelt(stack: Document) -> None:
    variant(stack)["ManagedInstanceScaling"]["Status"] = "ON"


def name_of_endpoint_too_long(stack: Document) -> None:
    _rename(stack, "a" * 60 + "-g4dn-xl")


def name_of_endpoint_with_underscores(stack: Document) -> None:
    _rename(stack, "support_intent-g4dn-xl")


MUTATIONS = (
    Mutation(
        spoil=model_with_a_name,
        stack=GPU,
        account="every later change fails: the replacement has the name of the old one",
        source="https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateModel.html",
        caught_by=(ours("create_only_name"),),
    ),
    Mutation(
        spoil=configuration_with_a_name,
        stack=GPU,
        account="every later change fails: the replacement has the name of the old one",
        source="https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateEndpointConfig.html",
        caught_by=(ours("create_only_name"),),
    ),
    Mutation(
        spoil=ami_of_sagemaker,
        stack=GPU,
        account="ONNX Runtime finds no CUDA and would serve on the CPU",
        source="https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_ProductionVariant.html",
        caught_by=(ours("ami_fits_cuda"),),
    ),
    Mutation(
        spoil=ami_of_an_older_cuda,
        stack=GPU,
        account="ONNX Runtime finds no CUDA and would serve on the CPU",
        source="https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_ProductionVariant.html",
        caught_by=(ours("ami_fits_cuda"),),
    ),
    Mutation(
        spoil=ami_unknown,
        stack=GPU,
        account="the configuration is refused when it is created",
        source="https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_ProductionVariant.html",
        caught_by=(ours("ami_fits_cuda"), lint("E3030"), model("enum")),
    ),
    Mutation(
        spoil=volume_beside_own_disk,
        stack=GPU,
        account="the configuration is refused when it is created",
        source="https://docs.aws.amazon.com/sagemaker/latest/dg/host-instance-storage.html",
        caught_by=(ours("own_disk"),),
    ),
    Mutation(
        spoil=one_instance_at_most,
        stack=GPU,
        account="the next version has no GPU to start on, and its update ends by a timeout",
        source="https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_InferenceComponentRollingUpdatePolicy.html",
        caught_by=(ours("room_for_update"),),
    ),
    Mutation(
        spoil=configuration_without_role,
        stack=GPU,
        account="the configuration is refused when it is created",
        source="https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateEndpointConfig.html",
        caught_by=(ours("endpoint_role"),),
    ),
    Mutation(
        spoil=model_in_the_variant,
        stack=GPU,
        account="the component is refused on an endpoint of a model",
        source="https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_ProductionVariant.html",
        caught_by=(ours("variant_of_components"),),
    ),
    Mutation(
        spoil=component_on_no_variant,
        stack=GPU,
        account="the component is refused when it is created",
        source="https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateInferenceComponent.html",
        caught_by=(ours("variant_of_components"),),
    ),
    Mutation(
        spoil=component_without_copy,
        stack=SLEEPER,
        account="the component is refused when it is created",
        source="https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateInferenceComponent.html",
        caught_by=(ours("copies_at_creation"),),
    ),
    Mutation(
        spoil=endpoint_without_instance_type,
        stack=GPU,
        account="another instance type can never be deployed: UpdateEndpoint refuses it",
        source="https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_UpdateEndpoint.html",
        caught_by=(ours("endpoint_of_instance"),),
    ),
    Mutation(
        spoil=instance_unknown,
        stack=GPU,
        account="the configuration is refused when it is created",
        source="https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_ProductionVariant.html",
        caught_by=(lint("E3030"), model("enum")),
    ),
    Mutation(
        spoil=endpoint_before_its_component,
        stack=GPU,
        account="the stack cannot be deleted, and the GPU is paid for on and on",
        source="https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_DeleteEndpoint.html",
        caught_by=(ours("component_waits"),),
    ),
    Mutation(
        spoil=log_made_by_sagemaker,
        stack=GPU,
        account="SageMaker makes a log group that never expires and outlives the stack",
        source="https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html",
        caught_by=(ours("endpoint_log"),),
    ),
    Mutation(
        spoil=start_of_two_hours,
        stack=GPU,
        account="the configuration is refused when it is created",
        source="https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_ProductionVariant.html",
        caught_by=(lint("E3034"), model("range")),
    ),
    Mutation(
        spoil=memory_of_no_component,
        stack=GPU,
        account="the component is refused when it is created",
        source="https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateInferenceComponent.html",
        caught_by=(lint("E3034"), model("range")),
    ),
    Mutation(
        spoil=routing_misspelt,
        stack=GPU,
        account="the configuration is refused when it is created",
        source="https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_ProductionVariant.html",
        caught_by=(lint("E3030"), model("enum")),
    ),
    Mutation(
        spoil=scaling_misspelt,
        stack=GPU,
        account="the configuration is refused when it is created",
        source="https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_ProductionVariant.html",
        caught_by=(lint("E3030"), model("enum")),
    ),
    Mutation(
        spoil=name_of_endpoint_too_long,
        stack=GPU,
        account="the endpoint is refused when it is created",
        source="https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateEndpoint.html",
        caught_by=(lint("E3031"), lint("E3033"), model("length"), model("pattern")),
    ),
    Mutation(
        spoil=name_of_endpoint_with_underscores,
        stack=GPU,
        account="the endpoint is refused when it is created",
        source="https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateEndpoint.html",
        caught_by=(lint("E3031"), model("pattern")),
    ),
)
