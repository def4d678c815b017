"""Requests to an edge copy: answered as the endpoint answers them, and refused with a code."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from contracts.manifest import read_manifest
from contracts.tasks import Task
from tests.build.edge.edge_copies import answered, built, problem, run, served
from tests.fixtures.models.tiny_bert import classifier as tiny_classifier
from tests.fixtures.models.tiny_bert import texts
from tests.fixtures.models.tiny_decoders import PROMPTS, llama, t5
from tests.fixtures.problems import assert_names

TEXTS = texts(12)
REFUSED: dict[str, tuple[bytes, str, tuple[str, ...]]] = {
    "no JSON": (b'{"inputs": ', "malformed_request", ("JSON", "line 1, column 12")),
    "no request": (b'{"texts": "x"}', "invalid_input", ("/texts: ", "inputs, parameters, tier")),
    "a blank line": (b"", "invalid_input", ("/inputs/0: ", "empty")),
    "spaces": (b"   ", "invalid_input", ("/inputs/0: ", "empty")),
    "a number": (b'{"inputs": 5}', "invalid_input", ("/inputs: ", "list")),
    "no inputs": (b'{"inputs": []}', "invalid_input", ("/inputs: ", "empty")),
    "another task's input": (
        b'{"inputs": {"question": "x"}}',
        "invalid_input",
        ("/inputs/0: ", "text"),
    ),
    "an unknown parameter": (
        b'{"inputs": "x", "parameters": {"nearest": 1}}',
        "invalid_input",
        ("/parameters/nearest: unknown",),
    ),
    "an invalid parameter": (
        b'{"inputs": "x", "parameters": {"top_k": "2"}}',
        "invalid_input",
        ("/parameters/top_k: ", "from 1 to"),
    ),
    "half a surrogate pair": (rb'"\ud800"', "invalid_input", ("/inputs/0: ", "surrogate")),
    "a text that is not UTF-8": (b"caf\xe9", "invalid_input", ("/inputs/0: ", "surrogate")),
    "a request that is not UTF-8": (b'"caf\xe9"', "malformed_request", ("UTF-8", "byte 4")),
    "a text in quotes, and more": (b'"one" more', "malformed_request", ("JSON", "line 1")),
    "a deep nest": (b'{"inputs":' + b"[" * 100_000, "malformed_request", ("nested",)),
    "no number of JSON": (b'{"inputs": NaN}', "malformed_request", ("JSON", "NaN")),
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


def test_a_line_that_cannot_be_answered_is_a_problem_and_the_rest_is_answered(
    classifier: Path,
) -> None:
    lines = b"".join(line + b"\n" for line, _, _ in REFUSED.values())
    code, answers = answered(classifier / "tiny/edge", stdin=lines + b"great film")
    assert code == 1
    for answer, (_, error_code, things) in zip(answers, REFUSED.values(), strict=False):
        assert answer["problem"]["code"] == error_code
        assert_names(answer["problem"]["detail"], things)
    assert len(answers) == len(REFUSED) + 1
    assert answers[-1]["outputs"] == served(classifier, "great film")


@pytest.mark.exhaustive(keep=1)
@pytest.mark.parametrize("make", [llama, t5])
def test_more_tokens_than_the_endpoint_generates_are_refused_with_the_limit(
    make: Callable[[Path], Path], tmp_path: Path
) -> None:
    task = Task.TEXT2TEXT_GENERATION if make is t5 else Task.TEXT_GENERATION
    rows = [{"text": text} for text in PROMPTS]
    edge = built(make(tmp_path / make.__name__), task, rows, tmp_path / "out")
    limit = read_manifest(tmp_path / "out/tiny/cpu").details["max_new_tokens"]
    for tokens in (0, limit + 1):
        line = json.dumps({"inputs": PROMPTS[0], "parameters": {"max_new_tokens": tokens}})
        refused = problem(edge, line)
        assert refused["code"] == "invalid_input"
        assert_names(refused["detail"], ("/parameters/max_new_tokens: ", f"from 1 to {limit}"))
