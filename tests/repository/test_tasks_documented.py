"""Examples of docs/tasks.md: each request is valid, and each output is one that the API describes."""

import json
import re
from typing import Any

import pytest

from build.tasks.registry import TASKS
from contracts.api.registry import APIS
from contracts.api.task_api import input_problems
from contracts.manifest import Manifest
from contracts.prediction import parse_request
from contracts.tasks import Task, Tier
from functions.inference.generation_parameters import problems
from functions.inference.tasks import head_of
from functions.router.deciding.decision import IN_PLACE, WANTED
from functions.router.deciding.escalation import REASONS
from functions.router.http import openapi
from tests.fixtures.paths import ROOT
from tests.fixtures.schema_checks import assert_described

TEXT = (ROOT / "docs/tasks.md").read_text("utf-8")
SECTIONS = dict(re.findall(r"^## (\S+)\n(.*?)(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL))
GENERATE = (Task.TEXT_GENERATION, Task.TEXT2TEXT_GENERATION)
ENCODE = [t for t in Task if t not in (*GENERATE, Task.LANGUAGE_MODEL_SCORING, Task.WORD_VECTORS)]


def blocks(task: Task) -> list[Any]:
    return [
        json.loads(block) for block in re.findall(r"```json\n(.*?)```", SECTIONS[task], re.DOTALL)
    ]


def test_every_reason_that_a_tier_is_chosen_for_is_documented() -> None:
    section = TEXT.split("\n## How a tier is chosen\n")[1].split("\n## ")[0]
    documented = re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)
    assert tuple(documented) == WANTED
    assert openapi.answer()["properties"]["reason"]["enum"] == [*WANTED, *IN_PLACE, *REASONS]


def test_the_reasons_of_escalations_are_documented() -> None:
    page = (ROOT / "docs/cascade.md").read_text("utf-8")
    assert [reason for reason in REASONS if f"`{reason}`" not in page] == []


def test_every_task_is_documented() -> None:
    assert set(SECTIONS) == set(Task)
    assert set(TASKS) == set(Task)
    assert all(TASKS[task].name == task and TASKS[task].rows.example for task in Task)


@pytest.mark.parametrize("task", Task)
def test_the_rows_that_are_shown_are_read(task: Task) -> None:
    text = SECTIONS[task].split("\nRows: ")[1]
    shown = [row for row in re.findall(r"`(\{.*?\})`", text) if "[…]" not in row]
    assert shown
    for row in shown:
        assert TASKS[task].rows.parse(json.loads(row), None).request.inputs


def test_a_scored_pair_of_texts_is_shown_in_both_spellings() -> None:
    text = SECTIONS[Task.FEATURE_EXTRACTION].split("\nRows: ")[1]
    parse = TASKS[Task.FEATURE_EXTRACTION].rows.parse
    read = [parse(json.loads(row), None) for row in re.findall(r"`(\{.*?\})`", text)]
    assert [row.answer for row in read] == [None, 3.8, 3.8]
    assert read[1] == read[2]


@pytest.mark.parametrize("task", Task)
def test_the_request_and_the_output_that_are_shown_are_the_example_of_the_api(task: Task) -> None:
    request, output, *more = blocks(task)
    for other in more:
        assert input_problems(parse_request(other).inputs, APIS[task].input) == []
    assert parse_request(request).inputs
    assert_described(task, [output])
    assert [request, output] == [APIS[task].example.request, APIS[task].example.outputs[0]]


@pytest.mark.parametrize("task", Task)
def test_every_parameter_is_named(task: Task) -> None:
    section = SECTIONS[task] + (
        SECTIONS[Task.TEXT_GENERATION] if task is Task.TEXT2TEXT_GENERATION else ""
    )
    for parameter in APIS[task].parameters:
        assert f"`{parameter.name}`" in section or f'"{parameter.name}"' in section


@pytest.mark.parametrize("task", ENCODE)
def test_the_request_of_an_encoder_is_taken_by_its_head(task: Task) -> None:
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
    assert head_of(task).problems(parse_request(blocks(task)[0]), manifest) == []


@pytest.mark.parametrize("task", GENERATE)
def test_the_request_of_a_model_that_generates_text_is_taken(task: Task) -> None:
    assert problems(parse_request(blocks(task)[0]), APIS[task], 64) == []
