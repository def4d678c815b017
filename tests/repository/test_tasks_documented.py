"""What docs/tasks.md shows of every task is a request that is taken, and an output that the API describes."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from build.evaluation import rows
from contracts.manifest import Manifest
from contracts.prediction import parse_request
from contracts.tasks import Task, Tier
from functions.inference.generation_parameters import FULL_TEXT, PARAMETERS, problems
from functions.inference.tasks import head_of
from functions.router.schema import EXAMPLES, OUTPUT
from turnout.laptop import ROOT

TEXT = (ROOT / "docs/tasks.md").read_text("utf-8")
SECTIONS = dict(re.findall(r"^## (\S+)\n(.*?)(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL))
WRITE = (Task.TEXT_GENERATION, Task.TEXT2TEXT_GENERATION)
ENCODE = [t for t in Task if t not in (*WRITE, Task.LANGUAGE_MODEL_SCORING, Task.WORD_VECTORS)]


def blocks(task: Task) -> list[Any]:
    return [
        json.loads(block) for block in re.findall(r"```json\n(.*?)```", SECTIONS[task], re.DOTALL)
    ]


def test_every_task_is_documented() -> None:
    assert set(SECTIONS) == set(Task)
    assert set(rows.FORMS) == set(rows.EXAMPLES) == set(Task)


@pytest.mark.parametrize("task", Task)
def test_the_rows_that_are_shown_are_read(task: Task) -> None:
    said = SECTIONS[task].split("\nRows: ")[1]
    shown = [row for row in re.findall(r"`(\{.*?\})`", said) if "[…]" not in row]
    assert shown
    for row in shown:
        assert rows.FORMS[task](json.loads(row), None).request.inputs


def test_a_scored_pair_of_texts_is_shown_in_both_spellings() -> None:
    said = SECTIONS[Task.FEATURE_EXTRACTION].split("\nRows: ")[1]
    form = rows.FORMS[Task.FEATURE_EXTRACTION]
    read = [form(json.loads(row), None) for row in re.findall(r"`(\{.*?\})`", said)]
    assert [row.answer for row in read] == [None, 3.8, 3.8]
    assert read[1] == read[2]


@pytest.mark.parametrize("task", Task)
def test_the_output_that_is_shown_is_one_that_the_api_describes(task: Task) -> None:
    request, output = blocks(task)
    assert parse_request(request).inputs
    assert set(output) <= set(OUTPUT["properties"])
    assert set(output) >= set(OUTPUT["required"])


@pytest.mark.parametrize("task", ENCODE)
def test_the_request_of_an_encoder_is_taken_by_its_reader(task: Task) -> None:
    manifest = Manifest(
        model="m",
        task=task,
        tier=Tier.CPU,
        precision="fp32",
        recipe="fp32",
        max_tokens=128,
        labels=("entailment", "neutral", "contradiction"),
        dimensions=2,
        details={"mask_token": "[MASK]"},
        toolchain={},
    )
    examples = [blocks(task)[0], *([EXAMPLES[task]] if task in EXAMPLES else [])]
    for example in examples:
        assert head_of(task).problems(parse_request(example), manifest) == []


@pytest.mark.parametrize("task", WRITE)
def test_the_request_of_a_model_that_writes_is_taken(task: Task) -> None:
    known = (*PARAMETERS, FULL_TEXT) if task is Task.TEXT_GENERATION else PARAMETERS
    for example in (blocks(task)[0], EXAMPLES.get(task, blocks(task)[0])):
        assert problems(parse_request(example).parameters, 64, known) == []
    for name in known:
        assert f"`{name}`" in TEXT or f'"{name}"' in TEXT, Path("docs/tasks.md")
