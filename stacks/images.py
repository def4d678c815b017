"""Container images by region, from a pinned table that `scripts/pin_images.py` makes from SageMaker's own data."""

import json
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stacks.image_source import AwsImage

IMAGES = Path(__file__).with_name("images.json")
LLM_SERVER = "vllm-server"
CUDA = "cuda"


IMAGE = re.compile(
    r"(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.[^/]+/(?P<repository>[^:]+):(?P<tag>.+)"
)


@cache
def _table() -> dict[str, Any]:
    table: dict[str, Any] = json.loads(IMAGES.read_text("utf-8"))
    return table


def llm_image(region: str, digest: str = "") -> "AwsImage":
    """Return AWS's container of vLLM in one of the regions, by a digest if that is known."""
    # It loads the CDK, and commands that only plan ask for the regions as well.
    from stacks.image_source import AwsImage

    found = IMAGE.fullmatch(_table()[LLM_SERVER][region])
    assert found
    return AwsImage(**found.groupdict(), digest=digest)


def llm_cuda(uri: str) -> int:
    """Return the version of CUDA in AWS's container of vLLM; 0 for another image.

    A digest is that of the table's tag: `stacks/weights/container.py` sees to it.
    """
    ours = any(
        uri.startswith(f"{image.account}.")
        and re.search(rf"/{image.repository}(:{re.escape(image.tag)}|@sha256:[0-9a-f]{{64}})$", uri)
        for image in map(llm_image, regions())
    )
    return int(_table()[CUDA][LLM_SERVER]) if ours else 0


@cache
def regions() -> tuple[str, ...]:
    """Return the regions in which AWS publishes its GPU inference containers; others cannot be deployed to."""
    return tuple(_table()[LLM_SERVER])
