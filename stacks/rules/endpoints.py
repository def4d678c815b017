"""Rules for SageMaker endpoints of inference components."""

import re
from collections.abc import Iterator

from contracts.names import endpoint
from stacks.images import llm_cuda
from stacks.rules.document import Document, Json, as_list, number, text, within
from stacks.rules.finding import Finding
from stacks.rules.functions import LOG_GROUP
from stacks.rules.images import MODEL

CONFIG, ENDPOINT = "AWS::SageMaker::EndpointConfig", "AWS::SageMaker::Endpoint"
COMPONENT = "AWS::SageMaker::InferenceComponent"
TARGET = "AWS::ApplicationAutoScaling::ScalableTarget"
# Nearly every property of these is create-only, so that each change is a replacement, made before the old one goes.
CREATE_ONLY = {MODEL: "ModelName", CONFIG: "EndpointConfigName"}
# The newest CUDA of each AMI's driver. SageMaker's default for GPU instances is an older one still.
# https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_ProductionVariant.html
AMI_CUDA = {
    "al2-ami-sagemaker-inference-gpu-2": 12,
    "al2-ami-sagemaker-inference-gpu-2-1": 12,
    "al2-ami-sagemaker-inference-gpu-3-1": 12,
    "al2023-ami-sagemaker-inference-gpu-4-1": 13,
}
_CUDA = re.compile(r"^nvidia-cuda-runtime==(\d+)\.", re.MULTILINE)
# Families with their own disks, of which SageMaker takes no size.
# https://docs.aws.amazon.com/sagemaker/latest/dg/host-instance-storage.html
OWN_DISK = ("ml.g4dn.", "ml.g5.", "ml.g6.", "ml.g6e.", "ml.p4d.", "ml.p4de.", "ml.p5.")


def _variants(stack: Document) -> Iterator[tuple[str, Json]]:
    for name, config in stack.of(CONFIG).items():
        for variant in config.get("ProductionVariants", []):
            yield name, variant


def create_only_name(stack: Document) -> Iterator[Finding]:
    """Forbid names of what cannot be updated: its replacement collides with the old one, at every later deployment."""
    for kind, place in CREATE_ONLY.items():
        for name, properties in stack.of(kind).items():
            if place in properties:
                message = f"a fixed {place} of what only a replacement changes; remove it"
                yield Finding(resource=name, place=place, message=message)


def ami_fits_cuda(stack: Document) -> Iterator[Finding]:
    """Require an AMI whose driver runs the image's CUDA: ONNX Runtime else serves on the CPU, and says nothing."""
    needed = [_cuda_of(stack, model) for model in stack.of(MODEL).values()]
    for name, variant in _variants(stack):
        ami = str(variant.get("InferenceAmiVersion", "of SageMaker"))
        # Of a pushed image the packages are not at hand: an AMI has to be named all the same.
        if AMI_CUDA.get(ami, 0) < max(needed, default=1):
            message = f"the AMI {ami} has no driver for CUDA {max(needed, default=13)}; name one"
            yield Finding(resource=name, place="ProductionVariants", message=message)


def _cuda_of(stack: Document, model: Json) -> int:
    """Return the version of CUDA that a model's image needs; 1 where that is not known."""
    uri = model.get("PrimaryContainer", {}).get("Image")
    if image := stack.image_of(uri):
        found = _CUDA.search(image.requirements)
        return int(found[1]) if found else 1
    return llm_cuda(text(uri)) or 1


def own_disk(stack: Document) -> Iterator[Finding]:
    """Forbid the size of a volume on an instance with a disk of its own, which SageMaker refuses."""
    for name, variant in _variants(stack):
        if "VolumeSizeInGB" in variant and variant["InstanceType"].startswith(OWN_DISK):
            message = f"{variant['InstanceType']} has its own disk; remove VolumeSizeInGB"
            yield Finding(resource=name, place="ProductionVariants", message=message)


def room_for_update(stack: Document) -> Iterator[Finding]:
    """Require an instance more than copies: a new version is placed beside the old one, which holds its GPU.

    https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_InferenceComponentRollingUpdatePolicy.html
    """
    copies = [
        *(
            number(one.get("RuntimeConfig", {}).get("CopyCount"))
            for one in stack.of(COMPONENT).values()
        ),
        *(number(one.get("MaxCapacity")) for one in stack.of(TARGET).values()),
    ]
    for name, variant in _variants(stack):
        most = number(variant.get("ManagedInstanceScaling", {}).get("MaxInstanceCount", 1))
        if any(most <= one for one in copies):
            message = f"{most:g} instances at most, as many as copies; an update needs one more, raise MaxInstanceCount"
            yield Finding(resource=name, place="ProductionVariants", message=message)


def endpoint_role(stack: Document) -> Iterator[Finding]:
    """Require the role of a configuration without models: SageMaker refuses it else, and the schema lets it be."""
    for name, config in stack.of(CONFIG).items():
        models = [v for v in config.get("ProductionVariants", []) if "ModelName" in v]
        if not models and "ExecutionRoleArn" not in config:
            message = "no ExecutionRoleArn; inference components need one"
            yield Finding(resource=name, place="ExecutionRoleArn", message=message)


def variant_of_components(stack: Document) -> Iterator[Finding]:
    """Require that components are placed on a variant that is there, and that has no model of its own."""
    variants = dict((variant["VariantName"], name) for name, variant in _variants(stack))
    for name, component in stack.of(COMPONENT).items():
        if component.get("VariantName") not in variants:
            message = f"no variant {component.get('VariantName')}; there are {', '.join(variants)}"
            yield Finding(resource=name, place="VariantName", message=message)
    for name, variant in _variants(stack):
        if stack.of(COMPONENT) and "ModelName" in variant:
            message = "a model of its own on an endpoint of components; remove ModelName"
            yield Finding(resource=name, place="ProductionVariants", message=message)


def copies_at_creation(stack: Document) -> Iterator[Finding]:
    """Require a first copy: SageMaker creates no component with none, though it scales to none later."""
    for name, component in stack.of(COMPONENT).items():
        if number(component.get("RuntimeConfig", {}).get("CopyCount", 1)) < 1:
            message = "no copy at creation; set CopyCount to 1, and let scaling end it"
            yield Finding(resource=name, place="RuntimeConfig", message=message)


def endpoint_of_instance(stack: Document) -> Iterator[Finding]:
    """Require the instance type in an endpoint's name: SageMaker refuses another type under the same one."""
    types = {name: variant["InstanceType"] for name, variant in _variants(stack)}
    for name, found in stack.of(ENDPOINT).items():
        config = stack.named(found.get("EndpointConfigName"), CONFIG)
        if config and not text(found.get("EndpointName")).endswith(_suffix(types[config])):
            message = (
                f"a name without {_suffix(types[config])}; make it by contracts.names.endpoint"
            )
            yield Finding(resource=name, place="EndpointName", message=message)


def _suffix(instance: str) -> str:
    """Return the end of the name of an endpoint on an instance type."""
    return endpoint("", "", instance).removeprefix(endpoint("", "", ""))


def component_waits(stack: Document) -> Iterator[Finding]:
    """Require that a component is deleted before its endpoint, which cannot be deleted while it has one."""
    for name, component in stack.of(COMPONENT).items():
        waits = {*as_list(stack.all[name].get("DependsOn", []))} & stack.of(ENDPOINT).keys()
        named = any(stack.named(value, ENDPOINT) for value in within(component))
        if not waits and not named:
            message = "it does not wait for its endpoint; add a dependency"
            yield Finding(resource=name, place="DependsOn", message=message)


def endpoint_log(stack: Document) -> Iterator[Finding]:
    """Require SageMaker's log groups before it makes them itself, which never expire and outlive the stack."""
    groups = {text(group.get("LogGroupName")) for group in stack.of(LOG_GROUP).values()}
    asked = {
        ENDPOINT: ("EndpointName", "/aws/sagemaker/Endpoints/"),
        COMPONENT: ("InferenceComponentName", "/aws/sagemaker/InferenceComponents/"),
    }
    for kind, (place, prefix) in asked.items():
        for name, properties in stack.of(kind).items():
            group = f"{prefix}{text(properties.get(place))}"
            if group not in groups:
                message = f"no log group {group} in this stack; add one that expires"
                yield Finding(resource=name, place=place, message=message)
