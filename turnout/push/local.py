"""Pushed weights in a local cloud, which starts empty: they are sent from the folder that they were pushed from."""

from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from contracts.manifest import read_manifest
from contracts.problems import Code
from contracts.specs import Deployment, ModelSpec
from contracts.tasks import Tier
from contracts.weights.pushed import LIST, Weights
from turnout.deployed.clients import Clients
from turnout.push.bucket import have_bucket
from turnout.push.errors import PushFailed
from turnout.push.kept import KEPT, Kept
from turnout.push.pushing import send
from turnout.push.tree import Folder


def pushed_models(deployment: Deployment, out: Path) -> list[ModelSpec]:
    """Return the models whose artefacts are of pushed weights."""
    return [
        model
        for model in deployment.models
        if model.gpu
        and (out / model.name / Tier.GPU).is_dir()
        and read_manifest(out / model.name / Tier.GPU).pushed
    ]


def push_again(
    deployment: Deployment,
    out: Path,
    clients: Clients,
    template: Callable[[], str],
    say: Callable[[str], None],
) -> None:
    """Have the weights of every pushed model in the bucket; raise PushFailed where they are not on this machine."""
    for model in pushed_models(deployment, out):
        weights = Weights.from_json((out / model.name / Tier.GPU / LIST).read_text("utf-8"))
        tree = Folder(_source(model))
        bucket = have_bucket(deployment, clients, say, lambda *_: template())
        moved = send(tree, weights, clients("s3"), bucket, Console(quiet=True), Kept(KEPT))
        say(f"{model.name}: {moved.sent / 1e6:,.1f} MB of weights in {bucket}")


def _source(model: ModelSpec) -> Path:
    source = (model.gpu.source if model.gpu else None) or model.source
    if isinstance(source, Path):
        return source
    message = (
        "its weights went from the hub to S3, and none of them is on this machine; name a folder as its source and "
        f"run `turnout push {model.name}`"
    )
    raise PushFailed.about(model.name, Code.NOT_FETCHED, message)
