"""Lists of things that are removed, as a person reads them before answering."""

from collections.abc import Iterator

from turnout.deployed.inventory import Inventory

# Characters of the hash that the CDK's tags end with, behind a prefix.
HASH = 64


def lines(found: Inventory) -> Iterator[str]:
    """Yield a line for each stack, endpoint and image, and one for all files of each kind."""
    for stack in found.stacks:
        yield f"stack {stack.name} ({stack.status})"
    for endpoint in found.endpoints:
        of = f"of stack {endpoint.stack}" if endpoint.stack else "of no stack"
        yield f"endpoint {endpoint.name} ({endpoint.instances} × {endpoint.instance}), {of}"
    for image in found.images:
        # As much of a hash as tells it from others; JSON has all of it.
        name = image.name[:-52] + "…" if len(image.tag) > HASH else image.name
        yield f"image {name} ({image.size / 1e6:,.1f} MB, pushed {image.pushed:%Y-%m-%d})"
    if found.weights:
        yield f"{len(found.weights)} files of weights in {found.weights[0].bucket}"
    if found.files:
        yield f"{len(found.files)} files in {found.files[0].bucket}"
