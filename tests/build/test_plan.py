"""Plans: what would be built, and sources that cannot be."""

from pathlib import Path

import pytest

from build import api
from build.errors import SourceError
from contracts.specs import Deployment
from tests.fixtures.models.tiny_bert import classifier, deployment, texts, write_rows
from tests.fixtures.problems import assert_problems

pytestmark = pytest.mark.build


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home")
    classifier(folder / "classifier")
    write_rows(folder / "rows.jsonl", [{"text": text} for text in texts(4)])
    return folder


@pytest.fixture(scope="module")
def classify(home: Path) -> Deployment:
    return deployment(home / "classifier", home / "rows.jsonl")


@pytest.mark.parametrize("place", ["", "models.out"])
def test_a_source_that_would_hold_what_is_built_from_it_is_refused(
    classify: Deployment, home: Path, place: str
) -> None:
    source = home / "classifier"
    with pytest.raises(SourceError) as caught:
        api.plan(classify, source / place)
    within = ("setting_invalid", f"tiny: {source}", f" {source / place}, ", "--out")
    assert_problems(caught.value.problems, within)


def test_planning_writes_nothing(classify: Deployment, tmp_path: Path) -> None:
    steps = api.plan(classify, tmp_path / "models.out")
    assert [(step.name, step.why) for step in steps] == [
        ("tiny cpu", "not built yet"),
        ("tiny gpu", "not built yet"),
    ]
    assert list(tmp_path.iterdir()) == []
