"""The Lambda handler: wire request in, wire answer out. The model is loaded once, when the environment starts.

https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html
"""

import math
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

# The pinned onnxruntime has no telemetry; this turns off that of a later one, which reads it when imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
# A function has few vCPUs, and the model needs them: a second thread pool, for the tokenizer, would only compete.
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

from contracts.http_errors import ServingError, problem_document
from contracts.manifest import check_sizes
from contracts.prediction import parse_request

if TYPE_CHECKING:
    from functions.inference.engine import Engine


def load(folder: Path) -> "Engine":
    """Return the engine of an artefact whose manifest and whose files' sizes are as they were sealed.

    Its bytes are not hashed: Lambda fetches an image in blocks as they are read, and all of a large model would be read
    within the 10 s that INIT may take. They were verified when the image was made, and when it was pushed or staged;
    a registry and Lambda name what they hold by its digest.
    """
    manifest = check_sizes(folder)
    # A broken artefact is reported before the libraries are imported.
    from functions.inference.engine import DEFAULT_MAX_INPUTS, Engine
    from functions.inference.runtimes.threads import threads_of

    return Engine.open(
        folder,
        manifest,
        max_inputs=int(os.environ.get("TURNOUT_MAX_INPUTS", DEFAULT_MAX_INPUTS)),
        threads=threads_of(int(os.environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "1769"))),
    )


# The part of a request's time that is left for sending its answer.
SENDING_S = 0.5
# The event of a deployment, which registers only a function that answers its probe. Nothing that the router sends
# is equal to it. A start does not answer the probe, since that would make each cold start 4 % longer.
PROBE_EVENT = {"probe": True}
FOLDER = Path(os.environ.get("TURNOUT_MODEL_DIR", "/var/task/model"))
ENGINE = load(FOLDER)
# Set by Lambda for a version that it takes a snapshot of; other starts do without the imports.
if os.environ.get("AWS_LAMBDA_INITIALIZATION_TYPE") == "snap-start":
    from functions.cpu.snapshot import register

    register(ENGINE, FOLDER)


def handler(event: object, context: object) -> dict[str, Any]:
    """Answer `{"outputs": ...}` or `{"problem": ...}`; raise nothing, so that no stack trace leaves the function.

    The answer to PROBE_EVENT is `{"version": ...}` or `{"problem": ...}`.
    """
    try:
        if event == PROBE_EVENT:
            return answer_probe()
        request = parse_request(event).due(time.monotonic(), left_s(context))
        return ENGINE.predict(request).to_wire()
    except ServingError as error:
        return {"problem": problem_document(error)}
    except Exception as error:
        from functions.runtime.failures import log

        log(error, request_id(context))
        return {"problem": problem_document(ServingError("the function failed; its log says why"))}


def answer_probe() -> dict[str, Any]:
    """Return the version of the artefact, which answers its probe; raise ProbeFailed if it does not."""
    from functions.inference.probe import check_probe

    check_probe(ENGINE, FOLDER)
    return {"version": ENGINE.manifest.version}


def left_s(context: object) -> float:
    """Return the seconds after which generation has to stop, so that the text so far can still be sent."""
    left = getattr(context, "get_remaining_time_in_millis", None)
    return left() / 1e3 - SENDING_S if left else math.inf


def request_id(context: object) -> str:
    """Return Lambda's id of an invocation; empty where a context has none."""
    return getattr(context, "aws_request_id", "")
