"""Requests to an edge copy: answered as the endpoint answers them, and refused in words."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from contracts.manifest import read_manifest
from contracts.tasks import Task
from tests.fixtures.edge_copies import answered, built, problem, run, served
from tests.fixtures.models.tiny_bert import classifier as tiny_classifier
from tests.fixtures.models.tiny_bert import texts
from tests.fixtures.models.tiny_decoders import PROMPTS, llama, t5

TEXTS = texts(12)
REFUSED = {
    "no JSON": (b'{"inputs": ', "the body is not JSON: Expecting value at line 1, column 12"),
    "no request": (b'{"texts": "x"}', "/texts: unknown key; the keys are inputs, parameters, tier"),
    "a blank line": (b"", "/inputs/0: is an empty text"),
    "spaces": (b"   ", "/inputs/0: is an empty text"),
    "a number": (b'{"inputs": 5}', "/inputs: must be a text or a list of texts"),
    "no inputs": (b'{"inputs": []}', "/inputs: is empty; give at least one text"),
    "another task's input": (
        b'{"inputs": {"question": "x"}}',
        "/inputs/0: must be a text or an obj",
    ),
    "an unknown parameter": (
        b'{"inputs": "x", "parameters": {"nearest": 1}}',
        "/parameters/nearest: unknown; this task knows top_k",
    ),
    "a wrong parameter": (
        b'{"inputs": "x", "parameters": {"top_k": "2"}}',
        "/parameters/top_k: must be a whole number from 1 to",
    ),
    "half a surrogate pair": (rb'"\ud800"', "/inputs/0: holds half a surrogate pair"),
    "a text that is not UTF-8": (b"caf\xe9", "/inputs/0: holds half a surrogate pair"),
    "a request that is not UTF-8": (b'"caf\xe9"', "the body is not UTF-8 text: byte 4 is invalid"),
    "a text in quotes, and more": (b'"one" more', "the body is not JSON: Extra data at line 1"),
    "a deep nest": (b'{"inputs":' + b"[" * 100_000, "nested too deeply"),
    "no number of JSON": (b'{"inputs": NaN}', "the body is not JSON: NaN is not a JSON number"),
}


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("classifier")
    rows = [{"text": text} for text in TEXTS]
    source = tiny_classifier(folder / "source")
    built(source, Task.TEXT_CLASSIFICATION, rows, folder / "out")
    return folder / "out"


def test_a_text_or_an_object_alone_is_a_list_of_one(classifier: Path) -> None:
    edge, pair = classifier / "tiny/edge", {"text": TEXTS[0], "text_pair": TEXTS[1]}
    for one in (TEXTS[2], pair):
        assert run(edge, json.dumps({"inputs": one})) == served(classifier, one)


def test_a_text_may_be_given_in_json_or_as_it_stands(classifier: Path) -> None:
    edge, text = classifier / "tiny/edge", "two\nlines, é \u2028 and \U0001f600"
    expected = served(classifier, text)
    assert run(edge, json.dumps(text)) == expected
    assert run(edge, text) == expected
    assert run(edge, stdin="great film\r\n") == served(classifier, "great film")


def test_more_inputs_than_the_endpoint_takes_at_once_are_answered(classifier: Path) -> None:
    line = json.dumps({"inputs": ["film"] * 70})
    assert run(classifier / "tiny/edge", line) == served(classifier, "film") * 70


def test_what_cannot_be_answered_is_a_problem_in_words_and_the_rest_is_answered(
    classifier: Path,
) -> None:
    lines = b"".join(line + b"\n" for line, _ in REFUSED.values())
    code, answers = answered(classifier / "tiny/edge", stdin=lines + b"great film")
    assert code == 1
    for answer, (_, words) in zip(answers, REFUSED.values(), strict=False):
        assert words in answer["problem"]["detail"]
    assert len(answers) == len(REFUSED) + 1
    assert answers[-1]["outputs"] == served(classifier, "great film")


@pytest.mark.parametrize("make", [llama, t5])
def test_more_tokens_than_the_endpoint_generates_are_refused_in_words(
    make: Callable[[Path], Path], tmp_path: Path
) -> None:
    task = Task.TEXT2TEXT_GENERATION if make is t5 else Task.TEXT_GENERATION
    rows = [{"text": text} for text in PROMPTS]
    edge = built(make(tmp_path / make.__name__), task, rows, tmp_path / "out")
    limit = read_manifest(tmp_path / "out/tiny/cpu").details["max_new_tokens"]
    for tokens in (0, limit + 1):
        line = json.dumps({"inputs": PROMPTS[0], "parameters": {"max_new_tokens": tokens}})
        detail = f"/parameters/max_new_tokens: must be a whole number from 1 to {limit}"
        assert problem(edge, line)["detail"] == detail
