"""The page on large language models: its table is read, and its commands are those of the command line."""

import re
import tomllib
from pathlib import Path

import typer.main

from contracts.models_toml import read_models_toml
from contracts.tasks import Server
from stacks.images import regions
from stacks.weights.serving import CONTEXT
from stacks.weights.stack import UPLOAD_DAYS
from tests.fixtures.paths import ROOT
from turnout.cli import app
from turnout.push.kept import MIB, PART
from turnout.push.upload import IN_FLIGHT

PAGE = (ROOT / "docs/large-models.md").read_text("utf-8")
WORDS = {4: "four", 5: "five", 6: "six"}


def block(kind: str) -> str:
    (found,) = re.findall(rf"```{kind}\n(.*?)```", PAGE, re.DOTALL)
    return str(found)


def test_the_table_is_a_models_toml_of_a_model_for_vllm(tmp_path: Path) -> None:
    path = tmp_path / "models.toml"
    path.write_text(block("toml"), "utf-8")
    (model,) = read_models_toml(path).models
    assert model.gpu is not None
    assert model.gpu.server is Server.VLLM
    assert list(tomllib.loads(block("toml"))["models"]) == ["chat"]


def test_each_command_and_each_option_is_one_of_the_command_line() -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    named = re.findall(r"`?turnout (\w+)([^`\n#]*)", PAGE)
    assert {name for name, _ in named} >= {"fit", "push", "plan", "verify", "up", "orphans", "sign"}
    for name, rest in named:
        known = {option for one in commands[name].params for option in one.opts}
        assert set(re.findall(r"--[a-z-]+", rest)) <= known, name


def test_the_numbers_of_the_page_are_those_of_the_code() -> None:
    assert (
        f"parts of {PART // MIB} MiB, of which at most {WORDS[IN_FLIGHT + 1]} are in memory" in PAGE
    )
    assert f"end after {UPLOAD_DAYS} days" in PAGE
    assert f"{CONTEXT:,} by default" in PAGE
    assert f"in {len(regions())} regions" in PAGE
