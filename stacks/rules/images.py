"""Rules for images that an engine builds."""

import re
from collections.abc import Iterator

from images.base import read_table
from stacks.rules.document import Document, Image
from stacks.rules.finding import Finding
from stacks.rules.functions import FUNCTION

MODEL = "AWS::SageMaker::Model"
ARCHITECTURES = {"x86_64": "linux/amd64", "arm64": "linux/arm64"}
# SageMaker's GPU instances of the table are x86-64.
GPU_PLATFORM = "linux/amd64"
_FROM = re.compile(r"^FROM\s+(\S+)", re.MULTILINE)
_PINNED = re.compile(r"@sha256:[0-9a-f]{64}$")
NVIDIA = ("NVIDIA_VISIBLE_DEVICES", "NVIDIA_DRIVER_CAPABILITIES")


def _used(stack: Document) -> Iterator[tuple[str, str, Image, str]]:
    """Yield the resource, the property, the image and the platform that it is run on."""
    for name, function in stack.of(FUNCTION).items():
        if image := stack.image_of(function["Code"].get("ImageUri")):
            architecture = function.get("Architectures", ["x86_64"])[0]
            yield name, "Code", image, ARCHITECTURES.get(architecture, architecture)
    for name, model in stack.of(MODEL).items():
        if image := stack.image_of(model.get("PrimaryContainer", {}).get("Image")):
            yield name, "PrimaryContainer", image, GPU_PLATFORM


def image_platform(stack: Document) -> Iterator[Finding]:
    """Require an image's platform: Docker else builds for the laptop's processor, and the function never starts."""
    for name, place, image, platform in _used(stack):
        if image.platform != platform:
            message = f"an image for {image.platform or 'whatever builds it'}, run on {platform}; name that platform"
            yield Finding(resource=name, place=place, message=message)


def base_pinned(stack: Document) -> Iterator[Finding]:
    """Require the digest of a base image: a tag moves, and the image of a hash that is pushed is not built again.

    A base of our table passes without one for as long as the table has none, which the first pull records.
    """
    unresolved = {row.image for row in read_table().values() if not row.digest}
    for name, place, image, _ in _used(stack):
        for base in _FROM.findall(image.dockerfile):
            if base not in unresolved and not _PINNED.search(base):
                message = f"the base {base} has no digest; run `python -m scripts.renew_bases`"
                yield Finding(resource=name, place=place, message=message)


def gpu_visible(stack: Document) -> Iterator[Finding]:
    """Require the variables without which NVIDIA's runtime gives a container no GPU.

    https://docs.nvidia.com/datacenter/cloud-native/container-toolkit/latest/docker-specialized.html
    """
    for name, model in stack.of(MODEL).items():
        container = model.get("PrimaryContainer", {})
        image = stack.image_of(container.get("Image"))
        for variable in NVIDIA if image else ():
            assert image
            set_in = re.search(rf"^ENV {variable}=\S", image.dockerfile, re.MULTILINE)
            if not set_in and variable not in container.get("Environment", {}):
                message = f"{variable} is not set; add it to the Dockerfile"
                yield Finding(resource=name, place="PrimaryContainer", message=message)
