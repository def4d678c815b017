"""The contents of every image of a deployment, whoever makes it: an engine, or `turnout image`."""

from pathlib import Path

from contracts.names import model_stack, router_stack
from contracts.routes import Routes
from contracts.specs import Deployment
from contracts.tasks import Server
from images.image import Contents
from images.staging import model_contents, router_contents


def contents_of(deployment: Deployment, out: Path, routes: Routes) -> list[Contents]:
    """Return the contents of the router's image, and of those of all tiers, by the names of their stacks.

    Tiers that vLLM serves have none: their image is AWS's, and their weights lie in S3.
    """
    router = router_contents(router_stack(deployment.name), routes.to_json())
    models = [
        model_contents(
            model_stack(deployment.name, model.name, tier), tier, out / model.name / tier
        )
        for model in deployment.models
        for tier in model.tiers
        if routes.models[model.name].targets[tier].server is Server.TURNOUT
    ]
    return [router, *models]
