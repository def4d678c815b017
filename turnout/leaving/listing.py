"""Lists of things that are removed, as a person reads them before answering."""

from collections.abc import Iterator

from stacks.costs.prices import price
from turnout.deployed.inventory import Inventory
from turnout.deployed.weights import PushedWeights

# Characters of the hash that the CDK's tags end with, behind a prefix.
HASH = 64


def lines(found: Inventory) -> Iterator[str]:
    """Yield a line for each stack, endpoint, image and push, and one for all other files."""
    for stack in found.stacks:
        yield f"stack {stack.name} ({stack.status})"
    for endpoint in found.endpoints:
        of = f"of stack {endpoint.stack}" if endpoint.stack else "of no stack"
        yield f"endpoint {endpoint.name} ({endpoint.instances} × {endpoint.instance}), {of}"
    for image in found.images:
        # As much of a hash as tells it from others; JSON has all of it.
        name = image.name[:-52] + "…" if len(image.tag) > HASH else image.name
        yield f"image {name} ({image.size / 1e6:,.1f} MB, pushed {image.pushed:%Y-%m-%d})"
    for weights in found.weights:
        yield f"weights {weights.digest[:12] or 'of no push'} in {weights.bucket} ({_taken(weights)})"
    if found.files:
        yield f"{len(found.files)} files in {found.files[0].bucket}"


def _taken(weights: PushedWeights) -> str:
    """Return what weights take, since when, and what that costs a month."""
    usd = price("file_gb_month", weights.region).usd(weights.size / 1e9)
    parts = [f"{len(weights.files)} files"]
    if weights.uploads:
        parts.append(f"{len(weights.uploads)} uploads that were cut off")
    if weights.digest and not weights.whole:
        parts.append("not whole")
    size = f"{weights.size / 1e9:,.2f} GB"
    return ", ".join([*parts, size, f"pushed {weights.changed:%Y-%m-%d}", f"${usd:,.2f} a month"])
