"""Rows that are chats: the reference answers them in transformers' own template, and what is served in ours."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
import pytest

from build.errors import ReadingDiffers, SourceError
from build.evaluation.rows import read_rows
from build.evaluation.teacher_forcing import FORCED_TOKENS
from build.exported_graphs import GraphPair
from build.inspection.feeds import feeds_for
from build.inspection.layers import compare
from build.proof.golden import GoldenRow
from build.sources.gguf.source import unpack
from build.sources.source import GgufSource, TransformersSource
from build.tasks.text_generation import DESCRIPTION
from contracts.manifest import MODEL
from contracts.prediction import PredictRequest
from contracts.tasks import Task
from functions.inference.engine import Engine
from functions.inference.prompt.template import ChatTemplate
from tests.build.reading.decoders.models import CONTEXT, qwen3
from tests.build.reading.read_source import Change, Read, read
from tests.fixtures.models.sources import read_as
from tests.fixtures.models.tiny_bert import CPU
from tests.fixtures.models.tiny_decoders import llama
from tests.fixtures.models.tiny_gguf import write_gguf
from tests.fixtures.problems import assert_problems

pytestmark = pytest.mark.build

TEMPLATE = (
    "{% for m in messages %}{{ '<|im_start|>' + m.role[:1] + m.content + eos_token }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>a' }}{% endif %}"
)
ASKED = [{"role": "user", "content": "late?"}]
ROWS: list[dict[str, Any]] = [
    {"messages": ASKED},
    {"messages": [{"role": "system", "content": "🚆"}, *ASKED]},
    {"text": "The train"},
    {"messages": [*ASKED, {"role": "assistant", "content": "no"}, {"role": "user", "content": "x"}]},
]  # fmt: skip


def made(folder: Path) -> Path:
    # A token in front of every text, which is none of a chat's.
    qwen3(folder, around="<|im_end|> $A", num_hidden_layers=1)
    (folder / "chat_template.jinja").write_text(TEMPLATE, "utf-8")
    return folder


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Read:
    place = tmp_path_factory.mktemp("chats")
    cpu = replace(CPU, max_tokens=CONTEXT)
    return read(place, made, Task.TEXT_GENERATION, ROWS, cpu=cpu)


def test_a_chat_is_answered_as_in_transformers(found: Read, tmp_path: Path) -> None:
    result = found.check(tmp_path, Change())
    assert (result.rows, result.near_ties) == (len(ROWS), 0)
    engine = Engine.load(tmp_path / "sealed")
    assert engine.manifest.chat
    assert "chat_template.jinja" in {file.path for file in engine.manifest.files}
    request = PredictRequest(
        inputs=({"messages": ASKED},), parameters={"max_new_tokens": 16, "do_sample": False}
    )
    (output,) = engine.predict(request).outputs
    expected = found.reference.outputs[0][0]
    # The library writes half a character that the last token leaves open.
    assert output["generated_text"] == expected["generated_text"].rstrip("\ufffd")
    assert output["tokens"] == expected["tokens"]


def test_layers_are_compared_on_a_chat_as_the_model_reads_it(found: Read, tmp_path: Path) -> None:
    found.check(tmp_path, Change())
    (exported,) = found.parts.parent.glob("prepared/model.onnx")
    pair = GraphPair(name="model", exported=exported, built=tmp_path / "sealed" / MODEL)
    given = [ROWS[0], ROWS[2]["text"]]
    golden = [
        GoldenRow(
            request=PredictRequest(inputs=(one,)), reference=({FORCED_TOKENS: [5, 6]},), built=()
        )
        for one in given
    ]
    model: Any = Engine.load(tmp_path / "sealed").model
    feeds = feeds_for(pair, [pair], found.step.source, golden, onnx.load(exported))
    assert [feed["input_ids"][0].tolist() for feed in feeds] == [
        [*model.prompt(one, 2).ids, 5, 6] for one in given
    ]
    compared = compare([pair], found.step.source, golden)
    assert (compared.rows, compared.layers != ()) == (2, True)
    assert all(layer.sqnr_db is None or layer.sqnr_db > 80 for layer in compared.layers)


@pytest.mark.parametrize("wrong", ["variables", "content"])
def test_a_template_that_is_misread_stops_the_build(
    found: Read, tmp_path: Path, wrong: str
) -> None:
    changed: dict[str, Any] = {"variables": {"eos_token": "no"}, "content": "parts"}

    def misread(source: TransformersSource) -> TransformersSource:
        chat = {**source.details["chat"], wrong: changed[wrong]}
        return replace(source, details={**source.details, "chat": chat})

    with pytest.raises(ReadingDiffers, match=r"row 1 of 4 is answered unlike"):
        found.check(tmp_path, Change(source=misread))


def test_a_chat_that_does_not_fit_is_named_with_its_row(tmp_path: Path) -> None:
    long = {"messages": [{"role": "user", "content": "late again " * 40}]}
    cpu = replace(CPU, max_tokens=CONTEXT)
    with pytest.raises(SourceError, match=r"on row 2, .* the chat has \d+ tokens, and there is"):
        read(tmp_path, made, Task.TEXT_GENERATION, [ROWS[0], long], cpu=cpu)


def test_what_a_gguf_file_is_unpacked_to_has_its_template_and_special_tokens(
    tmp_path: Path,
) -> None:
    from transformers import AutoTokenizer

    program = TEMPLATE.replace("<|im_start|>", "")
    changes = {"tokenizer.chat_template": program}
    path = write_gguf(llama(tmp_path / "llama"), tmp_path / "m.gguf", changes)
    unpack(path, tmp_path / "unpacked")
    theirs = AutoTokenizer.from_pretrained(tmp_path / "unpacked")
    chat = read_as(GgufSource, path, Task.TEXT_GENERATION).details["chat"]
    assert chat["variables"] == theirs.special_tokens_map
    ours = ChatTemplate(program=program, **chat).render(ASKED)
    assert ours == theirs.apply_chat_template(ASKED, tokenize=False, add_generation_prompt=True)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"messages": [], "target": "a"}, '"messages" must be a list of messages'),
        ({"messages": [{"role": "me", "content": "a"}]}, '"messages/0/role" must be one of'),
        ({"messages": ASKED, "text": "a"}, 'has both "text" and "messages"'),
    ],
)
def test_a_row_that_is_no_chat_is_named_with_its_line(
    tmp_path: Path, row: dict[str, Any], words: str
) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"messages": ASKED}) + "\n" + json.dumps(row), "utf-8")
    rows, problems = read_rows(path, DESCRIPTION.rows, None)
    assert len(rows) == 1
    assert_problems(problems, ("rows_invalid", f"{path}:2", words))


@pytest.mark.parametrize(
    ("details", "words"),
    [
        ({}, "has no chat template"),
        ({"chat": {"content": "text", "variables": {}, "dated": True}}, "writes the time"),
    ],
)
def test_chats_need_a_template_that_makes_the_same_of_them_every_day(
    tmp_path: Path, details: dict[str, Any], words: str
) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"messages": ASKED}), "utf-8")
    _, problems = read_rows(path, DESCRIPTION.rows, None, details)
    assert_problems(problems, ("rows_invalid", path, words))
    fine = {"chat": {"content": "text", "variables": {}}}
    assert read_rows(path, DESCRIPTION.rows, None, fine)[1] == []
    path.write_text('{"text": "a"}', "utf-8")
    assert read_rows(path, DESCRIPTION.rows, None, details)[1] == []
