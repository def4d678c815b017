"""`python -m functions.gpu`: the container's server, and the only module of it that reads the environment."""

import os
from pathlib import Path

# Before the imports below: a later onnxruntime than the pinned one reads it when it is imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import uvicorn

from functions.gpu.app import create_app
from functions.inference.engine import DEFAULT_MAX_INPUTS, Engine


def main() -> None:
    device = os.environ.get("TURNOUT_DEVICE", "cuda")
    folder = Path(os.environ.get("TURNOUT_MODEL_DIR", "/opt/turnout/model"))
    max_inputs = int(os.environ.get("TURNOUT_MAX_INPUTS", DEFAULT_MAX_INPUTS))
    timeout_s = float(os.environ.get("TURNOUT_TIMEOUT_S", "inf"))
    threads = os.cpu_count() or 1

    def load() -> Engine:
        return Engine.load(folder, max_inputs=max_inputs, threads=threads, device=device)

    uvicorn.run(
        create_app(load, device, folder, timeout_s),
        host=os.environ.get("TURNOUT_HOST", "0.0.0.0"),
        port=int(os.environ.get("SAGEMAKER_BIND_TO_PORT", "8080")),
        log_level="warning",
        # SageMaker sends SIGTERM, and SIGKILL 30 s later.
        # https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-inference-code.html
        timeout_graceful_shutdown=25,
    )


main()
