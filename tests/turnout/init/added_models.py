"""Models that are added to a models.toml by `turnout init`, for tests of it."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from build import api
from build.samples.facts import only_sample_rows
from contracts.models_toml import read_models_toml
from contracts.tasks import Task
from turnout.init.adding import Added, Request, add
from turnout.init.question import choose


def nobody(source: object, tasks: Sequence[Task]) -> Task:
    """Choose as a command without a terminal does."""
    return choose(source, tasks, Console(), answers=False)


def added(
    place: Path, source: Path | str, environment: dict[str, str] | None = None, **given: Any
) -> Added:
    """Add a model to the models.toml in a folder."""
    request = Request(source=str(source), config=place / "models.toml", out=place / "out", **given)
    return add(request, nobody, environment or dict(os.environ))


def assert_planned(place: Path) -> None:
    """Check that a build takes what was written, and that all of its rows are the sample's."""
    (step,) = api.plan(read_models_toml(place / "models.toml"), place / "out")
    assert only_sample_rows(step.source, step.rows)


def nothing(place: Path) -> bool:
    """Return whether nothing was written."""
    return not place.exists() or not any(place.iterdir())
