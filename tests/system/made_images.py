"""Images that were made, for a deployment into the local cloud, and clients that ask this what it has."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import boto3
from rich.console import Console

from contracts.models_toml import read_models_toml
from images.image import Contents, Runtime
from images.slimming.pieces import Slimming
from tests.images.making import small_runtime, unasked
from turnout.image.making import Wanted, image
from turnout.local_deployment import Files, Laptop, MadeImages


def with_made_images(text: str, out: Path, folder: Path, names: Sequence[str]) -> Laptop:
    """Return a deployment of a `models.toml` in a local cloud, for which the named images are made.

    They are made with other keys than the deployment's, and on a small base, which the local cloud does not use.
    """
    config, made = folder / "models.toml", folder / "images.out"
    config.write_text(text, "utf-8")
    deployment = read_models_toml(config)
    wanted = Wanted(deployment=deployment, out=out, key_hashes={"ci": "0" * 64}, names=names)

    def runtime(
        contents: Contents, base: str, work: Path, blobs: Path, slimming: Slimming
    ) -> Runtime:
        return small_runtime(contents, blobs, base)

    image(wanted, made, folder / "work", Console(file=io.StringIO()), runtime, unasked)
    files = Files(config=config, out=out)
    return Laptop(
        deployment, files, state=folder / "local", made=MadeImages(folder=made, names=names)
    )


def image_uris(laptop: Laptop) -> dict[str, str]:
    """Return the images of functions by their names; empty for a function that has none."""
    functions = client(laptop, "lambda")
    return {
        one["FunctionName"]: functions.get_function(FunctionName=one["FunctionName"])["Code"].get(
            "ImageUri", ""
        )
        for one in functions.list_functions()["Functions"]
    }


def resources(laptop: Laptop) -> dict[str, list[Any]]:
    """Return everything of a deployment that could be billed, by its kind."""
    sagemaker = client(laptop, "sagemaker")
    ours = {"Key": "Name", "Option": "BeginsWith", "Values": ["/turnout/"]}
    releases = client(laptop, "ssm").describe_parameters(ParameterFilters=[ours])
    return {
        "functions": client(laptop, "lambda").list_functions()["Functions"],
        "releases": releases["Parameters"],
        "endpoints": sagemaker.list_endpoints()["Endpoints"],
        "models": sagemaker.list_models()["Models"],
        "components": sagemaker.list_inference_components()["InferenceComponents"],
        "apis": client(laptop, "apigatewayv2").get_apis()["Items"],
        "tables": client(laptop, "dynamodb").list_tables()["TableNames"],
        "rules": client(laptop, "events").list_rules()["Rules"],
        "logs": client(laptop, "logs").describe_log_groups()["logGroups"],
    }


def client(laptop: Laptop, service: str) -> Any:
    """Return a client of the local cloud."""
    cloud = laptop.cloud.credentials()
    return boto3.client(
        service,
        endpoint_url=cloud["AWS_ENDPOINT_URL"],
        region_name=cloud["AWS_REGION"],
        aws_access_key_id="local",
        aws_secret_access_key="local",
    )
