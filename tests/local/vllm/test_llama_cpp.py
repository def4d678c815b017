"""llama.cpp's own server behind the contract of vLLM's container, on a tiny model: `make llamacpp` installs it."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from contracts.http_errors import TooLarge
from functions.router.targets.vllm_stream import Text, documents, error_of
from local.vllm.process import LLAMA_CPP
from tests.fixtures.models.tiny_decoders import llama
from tests.fixtures.models.tiny_gguf import write_gguf
from tests.local.vllm.component import STREAM, Component, running

pytestmark = pytest.mark.skipif(
    not (LLAMA_CPP / "ready").is_file(), reason="llama.cpp's server is not installed: make llamacpp"
)
TEMPLATE = "{% for m in messages %}{{ m.content }}\n{% endfor %}"
CHAT = {"messages": [{"role": "user", "content": "is it late"}], "temperature": 0}


@pytest.fixture(scope="module")
def component(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Component]:
    folder = tmp_path_factory.mktemp("real")
    weights = folder / "weights"
    weights.mkdir()
    changes = {"tokenizer.chat_template": TEMPLATE}
    write_gguf(llama(folder / "llama"), weights / "model.gguf", changes)
    with running(folder, weights, LLAMA_CPP) as made:
        yield made


def written(component: Component, body: dict[str, Any]) -> dict[str, Any]:
    """Return the output that the router's client reads from a stream."""
    status, stream = component.ask("POST", "/invocations", {**body, **STREAM})
    assert status == 200, stream
    read = Text()
    for document in documents([stream]):
        read.take(document)
    return read.output()


def test_a_chat_is_written_whole_as_in_a_stream(component: Component) -> None:
    asked = {**CHAT, "max_tokens": 6}
    status, text = component.ask("POST", "/invocations", asked)
    whole, streamed = json.loads(text), written(component, asked)
    (choice,), counts = whole["choices"], whole["usage"]
    assert (status, choice["finish_reason"], counts["completion_tokens"]) == (200, "length", 6)
    assert streamed == {
        "generated_text": choice["message"]["content"],
        "finish_reason": "length",
        "generated_tokens": 6,
        "tokens": counts["prompt_tokens"],
        "truncated": False,
    }


def test_a_seed_gives_one_text_and_the_likeliest_is_another(component: Component) -> None:
    drawn = {"prompt": "late again", "temperature": 1.5, "seed": 7, "max_tokens": 8}
    first, again = written(component, drawn), written(component, drawn)
    assert first == again
    assert first != written(component, {**drawn, "temperature": 0})


def test_a_completion_has_log_probabilities_in_their_own_form(component: Component) -> None:
    asked = {"prompt": "late again", "temperature": 0, "max_tokens": 3, "logprobs": 2}
    found = written(component, asked)["logprobs"]
    assert {key: len(values) for key, values in found.items()} == dict.fromkeys(
        ("tokens", "token_logprobs", "top_logprobs", "text_offset"), len(found["tokens"])
    )
    likeliest = [max(top.values()) for top in found["top_logprobs"]]
    assert found["token_logprobs"] == likeliest


def test_a_stop_ends_the_text_before_it(component: Component) -> None:
    asked = {"prompt": "late again", "temperature": 0, "max_tokens": 20}
    text = written(component, asked)["generated_text"]
    stop = re.findall("[a-z]{2}", text)[-1]
    stopped = written(component, {**asked, "stop": [stop]})
    assert stopped["generated_text"] == text[: text.index(stop)]


def test_a_format_is_kept_to(component: Component) -> None:
    kept = {"type": "json_schema", "json_schema": {"schema": {"enum": ["a"]}}}
    found = written(component, {**CHAT, "max_tokens": 10, "response_format": kept})
    assert json.loads(found["generated_text"]) == "a"


def test_a_prompt_beyond_the_context_is_too_large(component: Component) -> None:
    status, text = component.ask("POST", "/invocations", {"prompt": "late again " * 100})
    error = error_of(json.loads(text), status)
    assert (status, type(error)) == (400, TooLarge)
