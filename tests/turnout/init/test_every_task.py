"""A small model of every task and family: `turnout init` finds its task, and a build takes what it writes."""

from pathlib import Path
from typing import Any

import pytest

from contracts.specs import SourceOptions
from contracts.tasks import Task
from tests.fixtures.families import SMALL
from tests.turnout.init.added_models import added, assert_planned

pytestmark = pytest.mark.build

# The labels of inference fit a classifier too, one label without a card is a score or a class, and the outputs of
# TorchScript are not known before it is run.
ASKED = {"zero-shot-classification", "text-ranking", "LSTM"}


@pytest.mark.exhaustive(keep=3)
@pytest.mark.parametrize("name", SMALL)
def test_its_task_is_found_and_its_rows_are_in_the_form_of_it(tmp_path: Path, name: str) -> None:
    small = SMALL[name]
    (tmp_path / "models").mkdir()
    source = small.make(tmp_path / "models" / name)
    given: dict[str, Any] = {"task": small.task} if name in ASKED else {}
    options = SourceOptions()
    if name == "LSTM":
        tokenizer = source.with_name("tokens.json")
        options = SourceOptions(tokenizer=tokenizer, inputs=("input_ids",))
        given |= {"max_tokens": 24}
    found = added(tmp_path, source, options=options, **given)
    assert found.task is Task(small.task)
    assert_planned(tmp_path)
