"""A causal model answers a chat as it continues the text that its template makes of it."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from contracts.http_errors import InvalidInput, TooLarge
from contracts.manifest import BrokenArtefact
from contracts.prediction import PredictRequest
from functions.inference.generation import Generator
from tests.fixtures.models.tiny_decoders import CAUSAL, CONTEXT, built, opened
from tests.fixtures.problems import assert_request_problems

pytestmark = pytest.mark.build

LONG = "The night train is late again. " * 20


@pytest.fixture(scope="module", params=sorted(CAUSAL))
def source(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return CAUSAL[request.param](tmp_path_factory.mktemp("source") / request.param)


@pytest.fixture(scope="module")
def folder(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(source, tmp_path_factory.mktemp("built") / "cpu")


@pytest.fixture(scope="module")
def generator(source: Path, folder: Path) -> Generator:
    model: Generator = opened(source, folder)
    return model


ASKED = {"messages": [{"role": "user", "content": "A signal?"}]}
TEMPLATE = (
    "{% for message in messages %}{{ message.role ~ ': ' ~ message.content ~ eos_token }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'assistant:' }}{% endif %}"
)


@pytest.fixture(scope="module")
def chatter(source: Path, folder: Path) -> Generator:
    (folder / "chat_template.jinja").write_text(TEMPLATE, "utf-8")
    model: Generator = opened(
        source, folder, chat={"content": "text", "variables": {"eos_token": "</s>"}}
    )
    return model


def chat_request(*chats: Any, **parameters: Any) -> PredictRequest:
    return PredictRequest(inputs=chats, parameters=parameters)


def test_a_chat_is_answered_as_its_text_is_continued_without_more_special_tokens(
    chatter: Generator,
) -> None:
    text = "user: A signal?</s>assistant:"
    ids = chatter.tokenizer.encode(text, add_special_tokens=False).ids
    assert chatter.prompt(ASKED, 1).ids == ids
    (output,) = chatter.outputs(chat_request(ASKED, max_new_tokens=6))
    forced, _ = chatter.teacher_forced(ASKED, [5, 6])
    assert (output["tokens"], output["truncated"], output["generated_tokens"]) == (
        len(ids),
        False,
        6,
    )
    assert len(forced) == 2
    # Llama's tokenizer puts a token in front of a text, and the template writes none there.
    if chatter.tokenizer.encode("a").ids[0] != 1:
        assert chatter.outputs(chat_request(text, max_new_tokens=6)) == [output]


def test_the_answer_to_a_chat_is_as_long_as_the_model_may_write_or_has_room_for(
    chatter: Generator,
) -> None:
    prompt, count = chatter._limited(ASKED, None)
    most = chatter.config.defaults.max_new_tokens
    assert count == min(most, CONTEXT - prompt.tokens) > 1
    one_left = {"messages": [{"role": "user", "content": "0123456789" * 2 + "01234567"}]}
    prompt, count = chatter._limited(one_left, None)
    assert count == CONTEXT - prompt.tokens < most
    assert chatter._limited(ASKED, 3)[1] == 3


def test_a_chat_that_does_not_fit_is_refused_and_not_cut(chatter: Generator) -> None:
    long = {"messages": [{"role": "user", "content": LONG}]}
    with pytest.raises(TooLarge, match=r"the chat has \d+ tokens, which with 6 more pass the 48"):
        chatter.outputs(chat_request(long, max_new_tokens=6))


def test_a_chat_needs_a_template_and_messages_that_it_takes(
    generator: Generator, chatter: Generator
) -> None:
    assert_request_problems(
        generator.problems(chat_request("a", ASKED)),
        ("/inputs/1/messages", "has no chat template; send a text"),
    )
    assert chatter.problems(chat_request("a", ASKED)) == []
    with pytest.raises(InvalidInput, match="has no chat template"):
        generator.prompt(ASKED, 1)
    assert_request_problems(
        chatter.problems(chat_request({"messages": [{"role": "me", "content": "a"}]})),
        ("/inputs/0", 'must be a text or a chat {"messages"'),
    )


def test_a_template_that_is_missing_or_misdescribed_is_a_broken_artefact(
    source: Path, folder: Path, chatter: Generator, tmp_path: Path
) -> None:
    with pytest.raises(BrokenArtefact, match="how the model reads a chat"):
        opened(source, folder, chat={"content": "text"})
    lacking = shutil.copytree(folder, tmp_path / "cpu")
    (lacking / "chat_template.jinja").unlink()
    with pytest.raises(BrokenArtefact, match=r"chat_template.jinja does not say"):
        opened(source, lacking, chat={"content": "text", "variables": {}})
