"""AWS's container of vLLM as a push has found it: the image that is verified is the one that is run."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from contracts.manifest import Manifest
from contracts.problems import Code, Problem
from contracts.specs import Deployment
from stacks.images import llm_image

# The key of a manifest's details.
CONTAINER = "container"


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """The image of a tag in a region; `digest` is empty where AWS did not say it."""

    region: str
    tag: str
    digest: str = ""

    def to_json(self) -> dict[str, str]:
        return asdict(self)


def container_of(manifest: Manifest) -> Container | None:
    """Return the container that an artefact was pushed for; None for one of before."""
    found: Mapping[str, Any] | None = manifest.details.get(CONTAINER)
    return Container(**found) if found else None


def container_problem(deployment: Deployment, model: str, manifest: Manifest) -> Problem | None:
    """Return why an artefact was pushed for another container than would be run."""
    sealed, now = container_of(manifest), llm_image(deployment.region)
    if sealed is None or (sealed.region, sealed.tag) == (now.region, now.tag):
        return None
    message = (
        f"was pushed for vLLM's container {sealed.tag} in {sealed.region}, and {now.tag} in {now.region} is to run; "
        f"run `turnout push {model}`"
    )
    return Problem(code=Code.ARTEFACT_OUTDATED, where=f"models.{model}.gpu", message=message)
