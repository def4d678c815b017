"""Make `stacks/images.json` from the data inside SageMaker's own Python package.

That package holds half of a Python environment to old versions, so it gets one of its own:

    uv venv /tmp/sagemaker && uv pip install --python /tmp/sagemaker/bin/python sagemaker-core==2.27.0
    /tmp/sagemaker/bin/python scripts/pin_images.py
"""

import importlib.metadata
import json
from datetime import UTC, datetime
from pathlib import Path

from sagemaker.core import image_uris

TARGET = Path(__file__).resolve().parent.parent / "stacks/images.json"
# AWS's containers for large language models; where they are to be had, GPU endpoints are.
FRAMEWORK, VERSION, INSTANCE = "vllm-server", "2.6", "ml.g6.xlarge"
# The CUDA of that version. https://aws.github.io/deep-learning-containers/vllm/changelog/
CUDA = 13


def main() -> None:
    """Write the table of all regions that the package has; China and GovCloud are not among them."""
    config = image_uris.config_for_framework(FRAMEWORK)
    regions = (config.get("inference") or config)["versions"][VERSION]["registries"]
    uris = {region: _uri(region) for region in sorted(regions)}
    document = {
        "as_of": datetime.now(UTC).date().isoformat(),
        "source": f"sagemaker-core {importlib.metadata.version('sagemaker-core')}, image_uris",
        "cuda": {FRAMEWORK: CUDA},
        FRAMEWORK: uris,
    }
    TARGET.write_text(json.dumps(document, indent=2) + "\n", "utf-8")
    print(f"{TARGET}: {len(uris)} regions")


def _uri(region: str) -> str:
    uri = image_uris.retrieve(
        framework=FRAMEWORK,
        region=region,
        version=VERSION,
        image_scope="inference",
        instance_type=INSTANCE,
    )
    return str(uri)


if __name__ == "__main__":
    main()
