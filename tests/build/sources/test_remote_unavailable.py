"""Remote sources that cannot be downloaded: reported with every other problem, by model, with the next step."""

import json
import os
from pathlib import Path

import pytest

from build import api
from build.errors import SourceError
from build.sources import remote
from contracts.specs import Deployment, ModelSpec
from contracts.tasks import Task
from tests.fixtures.models.tiny_bert import CPU, write_rows
from tests.fixtures.problems import assert_problems

# Ports on which nothing listens, and no account.
NOWHERE = {
    "HF_ENDPOINT": "http://127.0.0.1:9",
    "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
    "AWS_MAX_ATTEMPTS": "1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_SHARED_CREDENTIALS_FILE": "/nowhere",
    "AWS_CONFIG_FILE": "/nowhere",
}
ENVIRONMENT = {
    **{key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "HF_"))},
    **NOWHERE,
}


def model(name: str, source: Path | str, rows: Path) -> ModelSpec:
    return ModelSpec(name=name, source=source, task=Task.TEXT_CLASSIFICATION, eval=rows, cpu=CPU)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("source", "advice"),
    [
        ("hf://org/bert", "put the model into a folder"),
        ("s3://models/bert", "AWS_PROFILE"),
    ],
)
def test_an_unreachable_source_is_refused_with_the_next_step_and_leaves_nothing(
    tmp_path: Path, source: str, advice: str
) -> None:
    with pytest.raises(SourceError) as caught:
        remote.fetch(source, tmp_path / "out", ENVIRONMENT)
    assert_problems(caught.value.problems, ("fetch_failed", source, advice))
    assert len(str(caught.value.problems[0])) < 400
    assert list(tmp_path.iterdir()) == []


def test_problems_of_all_models_are_reported_at_once_by_their_names(tmp_path: Path) -> None:
    rows = write_rows(tmp_path / "rows.jsonl", [{"text": "film"}])
    invalid = write_rows(tmp_path / "invalid.jsonl", [{"txt": "film"}])
    models = (
        model("one", "hf://org", invalid),
        model("two", "s3://Models", rows),
        model("three", tmp_path / "none", rows),
    )
    with pytest.raises(SourceError) as caught:
        api.fetch(Deployment(models=models), tmp_path / "out")
    assert_problems(
        caught.value.problems,
        ("setting_invalid", "one: hf://org", "write hf://org/name@revision"),
        ("setting_invalid", "two: s3://Models", "s3://bucket/prefix"),
        ("rows_invalid", f"one: {invalid}:1", 'no "text"'),
        ("file_missing", f"three: {tmp_path / 'none'}", "not a folder"),
    )
    api.fetch(Deployment(models=models), tmp_path / "out", ["three"])
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[1]",
        '{"hf://org/bert": 3}',
        '{"hf://org/bert": {"folder": "there"}}',
        '{"hf://org/bert": {"folder": "../there", "origin": "x"}}',
        '{"hf://org/bert": {"folder": "there", "origin": "x", "file": "../../there"}}',
        '{"hf://org/bert": {"folder": "there", "origin": "x", "file": 3}}',
    ],
)
def test_a_damaged_index_counts_as_none(tmp_path: Path, text: str) -> None:
    (tmp_path / remote.FOLDER / "there").mkdir(parents=True)
    index = tmp_path / remote.FOLDER / remote.INDEX
    index.write_text(text, "utf-8")
    problem = remote.not_fetched("hf://org/bert")
    assert remote.located("hf://org/bert", tmp_path) == (None, "", problem)
    assert_problems([problem], ("not_fetched", "hf://org/bert", "`turnout build`"))
    index.write_text(json.dumps({"hf://org/bert": {"folder": "there", "origin": "x"}}), "utf-8")
    assert remote.located("hf://org/bert", tmp_path)[1] == "x"
