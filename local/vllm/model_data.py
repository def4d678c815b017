"""The weights of a model in S3, as SageMaker puts them into its container's /opt/ml/model."""

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from moto.s3.models import s3_backends
from moto.sagemaker import models

# Writes all files into a folder.
Write = Callable[[Path], None]


def model_data(specification: dict[str, Any], account: str, region: str) -> Write | None:
    """Return what writes the weights of the model that a component names; None for one that has its own in its image.

    Raise ValueError for a prefix below which nothing is, and for what SageMaker would unpack.
    """
    model = models.sagemaker_backends[account][region]._models[specification["ModelName"]]
    source = (model.primary_container.get("ModelDataSource") or {}).get("S3DataSource")
    if source is None:
        return None
    if (source["S3DataType"], source["CompressionType"]) != ("S3Prefix", "None"):
        raise ValueError("the local cloud takes weights that lie uncompressed below a prefix")
    bucket, _, prefix = source["S3Uri"].removeprefix("s3://").partition("/")
    backend = s3_backends[account]["aws"]
    keys, _, _, _ = backend.list_objects(backend.get_bucket(bucket), prefix, None, None, None)
    if not keys:
        raise ValueError(f"Could not find model data at {source['S3Uri']}.")
    return partial(_write, keys, prefix)


def _write(keys: Any, prefix: str, folder: Path) -> None:
    for key in keys:
        path = folder / key.name.removeprefix(prefix)
        path.parent.mkdir(parents=True, exist_ok=True)
        # `key.value` would be all of a shard in memory, twice.
        with key.lock, path.open("wb") as file:
            key._value_buffer.seek(0)
            shutil.copyfileobj(key._value_buffer, file)
