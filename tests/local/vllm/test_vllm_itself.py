"""vLLM's CPU build on the weights of the chat example, in place of llama.cpp's server: `make vllm` installs it."""

import contextlib
import http.client
import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from examples.chats import QUESTIONS
from local.vllm.process import VLLM
from scripts.record_vllm import CASES, VARIABLES, WEIGHTS, ask, running
from tests.fixtures.processes import descendants, ended
from tests.functions.router.targets.recorded.answers import RECORDED, outcome

pytestmark = [
    pytest.mark.foreign,
    pytest.mark.skipif(
        not (VLLM / "ready").is_file(), reason="vLLM's CPU build is not installed: make vllm"
    ),
    pytest.mark.skipif(
        not WEIGHTS.is_dir(), reason="SmolLM2 is not there: python -m examples.smollm2"
    ),
]
TOKENS = 32
# As long as the context allows: some seconds.
LONG = 120
RUNNING, WRITTEN = "num_requests_running", "generation_tokens_total"


@pytest.fixture(scope="module")
def vllm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, int]]:
    with running(VARIABLES, tmp_path_factory.mktemp("vllm") / "log") as started:
        yield started


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if not case.tools])
def test_it_answers_as_it_was_recorded(name: str, vllm: tuple[int, int]) -> None:
    found = outcome(name, ask(vllm[0], CASES[name].body))
    recorded = outcome(name, RECORDED[name])
    assert _numbers_apart(found) == _numbers_apart(recorded)


def _numbers_apart(output: dict[str, Any]) -> dict[str, Any]:
    """Return an output without log-probabilities, which differ from processor to processor."""
    return {key: value for key, value in output.items() if key != "logprobs"}


def test_it_writes_the_likeliest_tokens_of_transformers(vllm: tuple[int, int]) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(WEIGHTS)
    model = AutoModelForCausalLM.from_pretrained(WEIGHTS, dtype=torch.float32)
    for question in QUESTIONS:
        chat = [{"role": "user", "content": question}]
        read = tokenizer.apply_chat_template(
            chat, add_generation_prompt=True, return_dict=True, return_tensors="pt"
        )
        with torch.no_grad():
            whole = model.generate(**read, do_sample=False, max_new_tokens=TOKENS)
        body = {"messages": chat, "temperature": 0, "max_tokens": TOKENS, "return_token_ids": True}
        answer = json.loads(ask(vllm[0], body).body)
        length = read["input_ids"].shape[1]
        assert answer["prompt_token_ids"] == read["input_ids"][0].tolist()
        assert answer["choices"][0]["token_ids"] == whole[0, length:].tolist()


def metric(port: int, name: str) -> float:
    """Return a figure that vLLM publishes, over all its engines."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    with contextlib.closing(connection):
        connection.request("GET", "/metrics")
        lines = connection.getresponse().read().decode().splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith(f"vllm:{name}"))


def test_a_caller_that_hangs_up_ends_its_text(vllm: tuple[int, int]) -> None:
    port, _ = vllm
    before = metric(port, WRITTEN)
    body = {"prompt": "a", "max_tokens": LONG, "ignore_eos": True, "stream": True}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    with contextlib.closing(connection):
        connection.request(
            "POST", "/invocations", json.dumps(body), {"Content-Type": "application/json"}
        )
        with connection.getresponse() as answer:
            assert answer.readline().startswith(b"data: ")
    deadline = time.monotonic() + 60
    while metric(port, RUNNING):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert metric(port, WRITTEN) - before < LONG


def test_what_is_killed_leaves_no_process_behind(tmp_path: Path) -> None:
    with running(VARIABLES, tmp_path / "log") as (_, pid):
        engines = descendants(pid)
        assert len(engines) > 1
        os.kill(pid, signal.SIGKILL)
        assert ended(engines)
