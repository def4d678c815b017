"""Container images by region, from a pinned table that `scripts/pin_images.py` makes from SageMaker's own data."""

import json
from functools import cache
from pathlib import Path
from typing import Any

IMAGES = Path(__file__).with_name("images.json")
LLM_SERVER = "vllm-server"


@cache
def _table() -> dict[str, Any]:
    table: dict[str, Any] = json.loads(IMAGES.read_text("utf-8"))
    return table


def regions() -> tuple[str, ...]:
    """Return the regions in which AWS publishes its GPU inference containers; others cannot be deployed to."""
    return tuple(_table()[LLM_SERVER])


def base_images() -> dict[str, str]:
    """Return the public base image of each function."""
    return dict(_table()["bases"])
