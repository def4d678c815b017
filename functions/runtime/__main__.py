"""`python -m functions.runtime HANDLER`: the entry point of an image, in place of `python -m awslambdaric HANDLER`."""

import os
import sys

from functions.runtime.client import RuntimeClient
from functions.runtime.loop import main

# What is written to a pipe would otherwise wait in a buffer while the environment is frozen.
sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
main(
    sys.argv[1],
    RuntimeClient(os.environ["AWS_LAMBDA_RUNTIME_API"]),
    # Set by Lambda for a version that it takes a snapshot of.
    snap_start=os.environ.get("AWS_LAMBDA_INITIALIZATION_TYPE") == "snap-start",
)
