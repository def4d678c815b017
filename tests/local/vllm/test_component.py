"""A component of vLLM in the local cloud, with a stand-in for llama.cpp's server: its weights, pings and answers."""

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

from functions.router.targets.vllm_stream import Text, documents
from local import children
from local.vllm.gguf import ConversionFailed, generation_config, gguf_of
from local.vllm.process import process_of
from tests.fixtures.processes import ended
from tests.local.vllm.stand_in import install

STREAM = {"stream": True, "stream_options": {"continuous_usage_stats": True}}


class Component:
    """The process of a component, and a connection to it."""

    def __init__(self, folder: Path, weights: Path) -> None:
        self.port, self.log = children.free_port(), folder / "log"
        home = install(folder / "llamacpp")
        process = process_of(weights, self.port, {}, (home, folder / "none"))
        variables = {**process.variables, "PATH": os.environ["PATH"]}
        with self.log.open("wb") as output:
            self.process = children.start(
                process.command, environment=variables, folder=weights, output=output
            )

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, bytes]:
        opened = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        with contextlib.closing(opened) as connection:
            connection.request(method, path, None if body is None else json.dumps(body))
            answer = connection.getresponse()
            return answer.status, answer.read()

    def is_ready(self) -> bool:
        try:
            return self.ask("GET", "/ping")[0] == 200
        except OSError:
            return False


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("component") / "weights"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"weights")
    (folder / "generation_config.json").write_text('{"temperature": 0.6}', "utf-8")
    return folder


@pytest.fixture(scope="module")
def component(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Component]:
    made = Component(tmp_path_factory.mktemp("running"), weights)
    deadline = time.monotonic() + 120
    while not made.is_ready():
        assert made.process.poll() is None, made.log.read_text()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    yield made
    children.end(made.process)


def test_a_whole_answer_is_in_the_words_of_vllm(component: Component, weights: Path) -> None:
    status, text = component.ask("POST", "/invocations", {"prompt": "is it", "top_k": -1})
    counts = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    choice = {"text": " yes", "index": 0, "finish_reason": "stop", "logprobs": None}
    document = {"object": "text_completion", "choices": [choice], "usage": counts}
    assert (status, json.loads(text)) == (200, document)
    *_, sent = map(json.loads, (weights.parent / "requests.jsonl").read_text().splitlines())
    assert (sent["path"], sent["temperature"], sent["top_k"]) == ("/v1/completions", 0.6, 0)


def test_a_stream_is_read_by_the_routers_client(component: Component) -> None:
    chat = {"messages": [{"role": "user", "content": "is it"}], **STREAM}
    status, stream = component.ask("POST", "/invocations", chat)
    read = Text()
    assert [read.take(document) for document in documents([stream])] == [" ye", "s"]
    assert (status, read.output()) == (
        200,
        {
            "generated_text": " yes",
            "finish_reason": "eos_token",
            "generated_tokens": 2,
            "tokens": 3,
            "truncated": False,
        },
    )


def test_an_error_amid_a_stream_stays_one(component: Component) -> None:
    chat = {"messages": [{"role": "user", "content": "fail"}], **STREAM}
    _, stream = component.ask("POST", "/invocations", chat)
    assert b'data: {"error": {"code": 500' in stream


@pytest.mark.parametrize("body", [[], {}, {"prompt": "a", "messages": []}, "text"])
def test_a_body_that_is_neither_chat_nor_completion_is_refused(
    component: Component, body: Any
) -> None:
    status, text = component.ask("POST", "/invocations", body)
    assert (status, json.loads(text)["error"]["type"]) == (400, "BadRequestError")


def test_a_request_that_the_server_refuses_keeps_its_status(component: Component) -> None:
    status, text = component.ask("POST", "/invocations", {"prompt": "too long"})
    assert (status, json.loads(text)["error"]["code"]) == (400, 400)


def test_the_server_ends_with_its_component_even_where_that_is_killed(tmp_path: Path) -> None:
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights/model.gguf").write_bytes(b"weights")
    component = Component(tmp_path, tmp_path / "weights")
    deadline = time.monotonic() + 120
    while not component.is_ready():
        assert time.monotonic() < deadline, component.log.read_text()
        time.sleep(0.05)
    pid = int((tmp_path / "weights/pid").read_text())
    os.kill(component.process.pid, signal.SIGKILL)
    component.process.wait()
    assert ended([pid])


def test_weights_that_cannot_be_loaded_end_the_process(tmp_path: Path) -> None:
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights/model.gguf").write_bytes(b"broken")
    component = Component(tmp_path, tmp_path / "weights")
    assert component.process.wait(120) == 1
    assert "failed to load the model" in component.log.read_text()


def test_weights_that_cannot_be_converted_end_the_process(tmp_path: Path) -> None:
    (tmp_path / "weights").mkdir()
    component = Component(tmp_path, tmp_path / "weights")
    assert component.process.wait(120) == 1
    assert "Model is not supported" in component.log.read_text()


def test_a_folder_is_converted_once(tmp_path: Path) -> None:
    home, folder = install(tmp_path / "home"), tmp_path / "weights"
    folder.mkdir()
    with pytest.raises(ConversionFailed, match="not supported"):
        gguf_of(home, folder)
    assert [*tmp_path.glob("*.half")] == []
    (folder / "model.safetensors").write_bytes(b"one")
    made = gguf_of(home, folder)
    (folder / "model.safetensors").write_bytes(b"two")
    assert (gguf_of(home, folder), made.read_bytes()) == (made, b"one")
    (folder / "a.gguf").write_bytes(b"its own")
    assert gguf_of(home, folder) == folder / "a.gguf"
    assert generation_config(folder) == {}
