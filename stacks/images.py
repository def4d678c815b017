"""Container images by region, from a pinned table that `scripts/pin_images.py` makes from SageMaker's own data."""

import json
from functools import cache
from pathlib import Path

IMAGES = Path(__file__).with_name("images.json")
LLM_SERVER = "vllm-server"


@cache
def regions() -> tuple[str, ...]:
    """Return the regions in which AWS publishes its GPU inference containers; others cannot be deployed to."""
    return tuple(json.loads(IMAGES.read_text("utf-8"))[LLM_SERVER])
