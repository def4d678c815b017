"""Pushed weights in a local cloud, which starts empty: they are sent from where they were pushed from."""

import os
from collections.abc import Callable, Mapping
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
from turnout.push.fetching import FETCHED, are_here, fetch
from turnout.push.hub import Hub
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
    fetched: Path = FETCHED,
    environment: Mapping[str, str] = os.environ,
) -> None:
    """Have the weights of every pushed model in the bucket; raise PushFailed where they cannot be had.

    Of a repository they are in `fetched`, fetched by the settings of the hub in `environment` where they are not.
    """
    for model in pushed_models(deployment, out):
        weights = Weights.from_json((out / model.name / Tier.GPU / LIST).read_text("utf-8"))
        if weights.origin and not are_here(weights, fetched / weights.digest):
            fetch(Hub(weights.origin, environment), weights, fetched / weights.digest, say)
        tree = Folder(fetched / weights.digest if weights.origin else _source(model))
        bucket = have_bucket(deployment, clients, say, lambda *_: template())
        moved = send(tree, weights, clients("s3"), bucket, Console(quiet=True), Kept(KEPT))
        say(f"{model.name}: {moved.sent / 1e6:,.1f} MB of weights in {bucket}")


def _source(model: ModelSpec) -> Path:
    source = (model.gpu.source if model.gpu else None) or model.source
    if isinstance(source, Path):
        return source
    message = (
        "its weights were pushed from a folder that models.toml does not name; name it as the source, or run "
        f"`turnout push {model.name}` to push what is named"
    )
    raise PushFailed.about(model.name, Code.NOT_FETCHED, message)
