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
REGIONS = (
    "us-east-1 us-east-2 us-west-1 us-west-2 ca-central-1 sa-east-1 eu-central-1 eu-north-1 eu-west-1 eu-west-2 "
    "eu-west-3 ap-northeast-1 ap-northeast-2 ap-south-1 ap-southeast-1 ap-southeast-2"
).split()


def main() -> None:
    uris = {
        region: image_uris.retrieve(
            framework=FRAMEWORK,
            region=region,
            version=VERSION,
            image_scope="inference",
            instance_type=INSTANCE,
        )
        for region in REGIONS
    }
    document = {
        "as_of": datetime.now(UTC).date().isoformat(),
        "source": f"sagemaker-core {importlib.metadata.version('sagemaker-core')}, image_uris",
        "cuda": {FRAMEWORK: CUDA},
        FRAMEWORK: uris,
    }
    TARGET.write_text(json.dumps(document, indent=2) + "\n", "utf-8")
    print(f"{TARGET}: {len(uris)} regions")


if __name__ == "__main__":
    main()
