"""Answers of vLLM itself to requests of ours, with its version and date, as scripts/record_vllm.py wrote them."""

import json
from typing import Any

from contracts.http_errors import ServingError
from functions.router.targets.vllm import predict
from functions.router.targets.vllm_stream import error_of
from scripts.record_vllm import CASES, Answer
from scripts.record_vllm import RECORDED as FILE
from tests.functions.router.targets.vllm_chunks import TARGET, Calls

DOCUMENT: dict[str, Any] = json.loads(FILE.read_text("utf-8"))
RECORDED = {name: Answer(**answer) for name, answer in DOCUMENT["answers"].items()}


def outcome(name: str, answer: Answer) -> dict[str, Any]:
    """Return what our client makes of an answer: the output, or the kind and text of an error."""
    try:
        if answer.status != 200:
            error = error_of(json.loads(answer.body), answer.status)
            assert error is not None
            raise error
        calls = Calls([[answer.body.encode()]])
        (output,) = predict(TARGET, CASES[name].request, calls).outputs
    except ServingError as found:
        return {
            "code": found.code,
            "detail": found.detail,
            "at": [p.pointer for p in found.problems],
        }
    return output
