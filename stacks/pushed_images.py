"""Pushed images that can be deployed: each of what the deployment has now, and where AWS runs it from."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from contracts.problems import Code, Problem
from images.errors import ImageError
from images.image import Contents
from images.made.changes import changed_parts
from images.made.record import FILE, Made, read_record
from images.registry.failures import ECR
from stacks.image_source import PushedImage

REFERENCE = re.compile(
    r"(?P<account>\d{12})[^/]+/(?P<repository>.+)@(?P<digest>sha256:[0-9a-f]{64})"
)


def pushed_images(
    contents: Sequence[Contents], folder: Path, region: str
) -> tuple[dict[str, PushedImage], list[Problem]]:
    """Return the pushed images of a deployment by their names, and the problems of those that cannot be deployed.

    An image that was never pushed is in neither: an engine builds it.
    """
    try:
        pushed = read_record(folder).pushed
    except ImageError as error:
        return {}, list(error.problems)
    images: dict[str, PushedImage] = {}
    problems: list[Problem] = []
    for one in contents:
        if row := pushed.get(one.name):
            problems += [problem.within(one.name) for problem in _stale(one, row, folder)]
            if image := in_ecr(row.reference, region):
                images[one.name] = image
            else:
                problems.append(_elsewhere(row.reference, region).within(one.name))
    return images, problems


def in_ecr(reference: str, region: str) -> PushedImage | None:
    """Return an image by its reference; None where it is not in ECR in that region.

    Lambda takes no other image: https://docs.aws.amazon.com/lambda/latest/dg/images-create.html. For SageMaker it "must
    be in the same region as the model or endpoint you are creating" (`ContainerDefinition` in the service model).
    """
    host = ECR.fullmatch(reference.partition("/")[0])
    found = REFERENCE.fullmatch(reference)
    if not host or not found or host["region"] != region:
        return None
    return PushedImage(
        account=found["account"],
        region=region,
        repository=found["repository"],
        digest=found["digest"],
    )


def _stale(contents: Contents, row: Made, folder: Path) -> Iterator[Problem]:
    """Yield the problem of an image that was pushed before a part of it changed."""
    if changed := changed_parts(contents, row):
        where = row.reference.rpartition("@")[0].removesuffix(f"/{contents.name}")
        command = f"turnout image --push {where} --base {row.base} {contents.name}"
        message = (
            f"its {' and '.join(changed)} changed since it was pushed; run `{command}`, or remove {folder / FILE} to "
            "have an engine build all images"
        )
        yield Problem(code=Code.IMAGE_STALE, message=message)


def _elsewhere(reference: str, region: str) -> Problem:
    message = (
        f"{reference} is not in ECR in {region}, from where alone AWS runs it; push it by "
        f"`turnout image --push ACCOUNT.dkr.ecr.{region}.amazonaws.com/PREFIX`"
    )
    return Problem(code=Code.IMAGE_ELSEWHERE, message=message)
