"""A chat from OpenAI's client to the model and back: the router, a tier, its engine and the model's own template."""

from typing import Any

import openai
import pytest
from openai import OpenAI

from contracts.manifest import Manifest
from contracts.routes import Route, Routes
from contracts.tasks import Task, Tier
from functions.inference.engine import Engine
from functions.inference.generation import Generator
from tests.fixtures.models.tiny_decoders import CONTEXT, built, gpt2, opened
from tests.fixtures.router_app import ROUTES, router, target
from tests.functions.router.openai.deployment import openai_client
from tests.functions.test_any_request import InProcessTier

pytestmark = pytest.mark.build

TEMPLATE = """\
{% for message in messages %}
{% if (message.role == 'user') != (loop.index0 % 2 == 0) %}
{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}
{% endif %}
{{ message.role[0] + message.content + eos_token }}{% endfor %}
"""


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> OpenAI:
    place = tmp_path_factory.mktemp("chats")
    source = gpt2(place / "gpt2")
    folder = built(source, place / "cpu")
    (folder / "chat_template.jinja").write_text(TEMPLATE, "utf-8")
    chat = {"content": "text", "variables": {"eos_token": "</s>"}}
    model: Generator = opened(source, folder, chat=chat)
    manifest = Manifest(
        model="tiny",
        task=Task.TEXT_GENERATION,
        tier=Tier.CPU,
        precision="fp32",
        recipe="fp32",
        max_tokens=CONTEXT,
        details={"chat": chat},
        toolchain={},
        digest="f00dfeed0000",
    )
    engine = Engine(manifest=manifest, model=model, max_inputs=4)
    route = Route(
        model="tiny",
        task=Task.TEXT_GENERATION,
        targets={Tier.CPU: target(Tier.CPU, model="tiny", max_chars=1000)},
        chat=manifest.chat,
    )
    routes = Routes(
        deployment="shop",
        registry="shop-registry",
        models={"tiny": route},
        key_hashes=ROUTES.key_hashes,
    )
    tier: Any = InProcessTier(engine=engine)
    return openai_client(router({Tier.CPU: tier}, routes=routes))


def ask(client: OpenAI, *contents: str, **options: Any) -> Any:
    """Ask with messages of the user and of the assistant by turns, and return the answer."""
    roles = ("user", "assistant") * len(contents)
    messages: Any = [{"role": r, "content": c} for r, c in zip(roles, contents, strict=False)]
    return client.chat.completions.create(model="tiny", messages=messages, **options)


def test_an_answer_is_written_and_its_tokens_are_counted(client: OpenAI) -> None:
    made = ask(client, "x", max_tokens=5, temperature=0)
    again = ask(client, "x", max_tokens=5, temperature=0, n=2)
    assert made.choices[0].finish_reason == "length"
    assert [one.message.content for one in again.choices] == [made.choices[0].message.content] * 2
    # "u", "x" and the token of the end, which the template wrote.
    assert (made.usage.prompt_tokens, made.usage.completion_tokens) == (3, 5)
    assert (again.usage.prompt_tokens, again.usage.completion_tokens) == (3, 10)


def test_an_answer_without_a_limit_is_as_long_as_the_model_may_write(client: OpenAI) -> None:
    made = ask(client, "x", temperature=0)
    assert made.usage.completion_tokens == CONTEXT // 2


def test_words_of_the_template_s_own_reach_the_caller(client: OpenAI) -> None:
    with pytest.raises(
        openai.BadRequestError, match="roles must alternate user/assistant"
    ) as raised:
        client.chat.completions.create(
            model="tiny", messages=[{"role": "user", "content": "a"}] * 2
        )
    assert (raised.value.param, raised.value.code) == ("messages", "invalid_value")
    assert "messages: the model's chat template refuses it: Conversation" in raised.value.message


def test_a_chat_that_does_not_fit_is_refused(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match=r"the chat has \d+ tokens") as raised:
        ask(client, "x" * 60)
    assert raised.value.code == "too_large"


def test_more_tokens_than_the_model_writes_are_refused_by_their_name(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="max_tokens: must be") as raised:
        ask(client, "x", max_tokens=1000)
    assert raised.value.param == "max_tokens"
