"""A component of vLLM in the local cloud, with a stand-in for llama.cpp's server: its weights, pings and answers."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from functions.router.targets.vllm_stream import Text, documents
from local.vllm.gguf import ConversionFailed, generation_config, gguf_of
from tests.fixtures.processes import ended
from tests.local.vllm.component import STREAM, Component, running
from tests.local.vllm.stand_in import install


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("component") / "weights"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"weights")
    (folder / "generation_config.json").write_text('{"temperature": 0.6}', "utf-8")
    return folder


@pytest.fixture(scope="module")
def component(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Component]:
    folder = tmp_path_factory.mktemp("running")
    with running(folder, weights, install(folder / "llamacpp")) as made:
        yield made


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
    with running(tmp_path, tmp_path / "weights", install(tmp_path / "llamacpp")) as component:
        pid = int((tmp_path / "weights/pid").read_text())
        os.kill(component.process.pid, signal.SIGKILL)
        component.process.wait()
    assert ended([pid])


def test_weights_that_cannot_be_loaded_end_the_process(tmp_path: Path) -> None:
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights/model.gguf").write_bytes(b"broken")
    component = Component(tmp_path, tmp_path / "weights", install(tmp_path / "llamacpp"))
    assert component.process.wait(120) == 1
    assert "failed to load the model" in component.log.read_text()


def test_weights_that_cannot_be_converted_end_the_process(tmp_path: Path) -> None:
    (tmp_path / "weights").mkdir()
    component = Component(tmp_path, tmp_path / "weights", install(tmp_path / "llamacpp"))
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
