"""The runner of an edge copy, `__main__.py` of its run.pyz: answer texts and requests with the artefact beside it.

A line that begins with { is a request as the endpoint takes it, one that begins with " is a text in JSON, and any other
is a text as it stands.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

# Releases of ONNX Runtime later than ours send telemetry, unless this is set before they are imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

from contracts.http_errors import ServingError, problem_document
from contracts.manifest import BrokenArtefact
from contracts.prediction import parse_request
from contracts.request_body import read_json
from functions.inference.engine import Engine


def main() -> int:
    """Answer each argument, or each line of standard input if there is none; return 1 if one was refused."""
    try:
        # No limit on inputs, and ONNX Runtime's own number of threads: the machine is the user's.
        engine = Engine.load(Path(__file__).parents[1], max_inputs=sys.maxsize, threads=0)
    except ImportError as error:
        sys.exit(f"{error}; install the packages that README.txt names")
    except BrokenArtefact as error:
        sys.exit(str(error))
    refused = False
    # `fsencode` gives the bytes that the shell passed, whatever their encoding.
    for line in map(os.fsencode, sys.argv[1:]) if sys.argv[1:] else sys.stdin.buffer:
        document = answer(engine, line.rstrip(b"\r\n"))
        refused |= "problem" in document
        sys.stdout.buffer.write(json.dumps(document, ensure_ascii=False).encode() + b"\n")
        sys.stdout.buffer.flush()
    return int(refused)


def answer(engine: Engine, line: bytes) -> dict[str, Any]:
    """Return the engine's answer to a line, or a `problem` that says in words why there is none."""
    try:
        json_text = line.startswith((b"{", b'"'))
        # Bytes that are not UTF-8 become half surrogates, which `parse_request` refuses with their place.
        value = read_json(line) if json_text else line.decode("utf-8", "surrogateescape")
        return engine.predict(
            parse_request(value if isinstance(value, dict) else {"inputs": value})
        ).to_wire()
    except ServingError as error:
        return {"problem": problem_document(error)}
    except Exception as error:
        return {"problem": problem_document(ServingError(f"{type(error).__name__}: {error}"))}


if __name__ == "__main__":
    sys.exit(main())
