"""The Lambda handler: wire request in, wire answer out. The model is loaded once, when the function starts."""

import json
import math
import os
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

# The runtime of the pinned version sends nothing; a later one is told not to before it is imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
# A function has few processors, and the model needs them: a pool of threads for tokens alone is waste.
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

from contracts.errors import ServingError, problem_document
from contracts.manifest import Manifest, verify
from contracts.prediction import parse_request

if TYPE_CHECKING:
    from functions.inference.engine import Engine


def load(folder: Path) -> "Engine":
    """The engine. Its files are checked beside the imports, and opened only once they were found whole."""
    found: list[Manifest | Exception] = []

    def check() -> None:
        try:
            found.append(verify(folder))
        except Exception as error:
            found.append(error)

    checking = threading.Thread(target=check)
    checking.start()
    from functions.inference.engine import DEFAULT_MAX_INPUTS, Engine
    from functions.inference.session import threads_of

    checking.join()
    if isinstance(found[0], Exception):
        raise found[0]
    return Engine.open(
        folder,
        found[0],
        max_inputs=int(os.environ.get("TURNOUT_MAX_INPUTS", DEFAULT_MAX_INPUTS)),
        threads=threads_of(int(os.environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "1769"))),
    )


# What sending an answer may take of a request's time.
SPARE_S = 0.5
ENGINE = load(Path(os.environ.get("TURNOUT_MODEL_DIR", "/var/task/model")))


def handler(event: object, context: object) -> dict[str, Any]:
    """`{"outputs": ...}` or `{"problem": ...}`; never raises, so that no stack trace leaves the function."""
    try:
        request = replace(parse_request(event), deadline=deadline(context))
        return ENGINE.predict(request).to_wire()
    except ServingError as error:
        return {"problem": problem_document(error)}
    except Exception as error:
        log(error, context)
        return {"problem": problem_document(ServingError("the function failed; its log says why"))}


def deadline(context: object) -> float:
    """When a text that is being written has to be sent, so that what there is of it arrives."""
    left = getattr(context, "get_remaining_time_in_millis", None)
    return time.monotonic() + left() / 1e3 - SPARE_S if left else math.inf


def log(error: Exception, context: object) -> None:
    """One line of JSON. Where it went wrong, but not the exception's own words: they may quote an input."""
    import traceback

    line = {
        "level": "ERROR",
        "request_id": getattr(context, "aws_request_id", ""),
        "error": type(error).__name__,
        "trace": "".join(traceback.format_tb(error.__traceback__)),
    }
    sys.stderr.write(json.dumps(line) + "\n")
