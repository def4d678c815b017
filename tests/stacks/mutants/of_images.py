"""Faults of images that an engine builds."""

from dataclasses import replace
from typing import Any

from stacks.rules.document import Document
from tests.stacks.mutants.mutation import CPU, GPU, ROUTER, Mutation, image_function, ours


def _change(stack: Document, **fields: Any) -> None:
    for name, image in stack.images.items():
        stack.images[name] = replace(image, **fields)


def image_without_platform(stack: Document) -> None:
    _change(stack, platform=None)


def image_of_a_laptop(stack: Document) -> None:
    _change(stack, platform="linux/arm64")


def container_of_a_laptop(stack: Document) -> None:
    _change(stack, platform="linux/arm64")


def function_on_arm64(stack: Document) -> None:
    image_function(stack)["Architectures"] = ["arm64"]


def base_by_its_tag(stack: Document) -> None:
    _change(stack, dockerfile="FROM python:3.13\n")


def gpu_hidden(stack: Document) -> None:
    (image,) = stack.images.values()
    lines = [line for line in image.dockerfile.splitlines() if "NVIDIA_VISIBLE" not in line]
    _change(stack, dockerfile="\n".join(lines))


def cuda_beyond_the_driver(stack: Document) -> None:
    _change(stack, requirements="nvidia-cuda-runtime==14.0.1 \\\n")


MUTATIONS = (
    Mutation(
        spoil=image_without_platform,
        stack=CPU,
        account="built on an arm64 laptop, the function ends with exec format error",
        source="https://docs.aws.amazon.com/lambda/latest/dg/images-create.html",
        caught_by=(ours("image_platform"),),
    ),
    Mutation(
        spoil=image_of_a_laptop,
        stack=ROUTER,
        account="every start ends with exec format error",
        source="https://docs.aws.amazon.com/lambda/latest/dg/images-create.html",
        caught_by=(ours("image_platform"),),
    ),
    Mutation(
        spoil=container_of_a_laptop,
        stack=GPU,
        account="the container never starts, and the endpoint fails after its time for that",
        source="https://docs.aws.amazon.com/lambda/latest/dg/images-create.html",
        caught_by=(ours("image_platform"),),
    ),
    Mutation(
        spoil=function_on_arm64,
        stack=CPU,
        account="every start ends with exec format error",
        source="https://docs.aws.amazon.com/lambda/latest/dg/images-create.html",
        caught_by=(ours("image_platform"),),
    ),
    Mutation(
        spoil=base_by_its_tag,
        stack=CPU,
        account="two laptops deploy different images, and security fixes never arrive",
        source="https://docs.aws.amazon.com/AmazonECR/latest/userguide/image-tag-mutability.html",
        caught_by=(ours("base_pinned"),),
    ),
    Mutation(
        spoil=gpu_hidden,
        stack=GPU,
        account="the container sees no GPU, and is never in service",
        source="https://docs.nvidia.com/datacenter/cloud-native/container-toolkit/latest/docker-specialized.html",
        caught_by=(ours("gpu_visible"),),
    ),
    Mutation(
        spoil=cuda_beyond_the_driver,
        stack=GPU,
        account="ONNX Runtime finds no CUDA and would serve on the CPU",
        source="https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_ProductionVariant.html",
        caught_by=(ours("ami_fits_cuda"),),
    ),
)
