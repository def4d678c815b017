"""README and docs are current: their files, commands and tables are compared with the project."""

import json
import re
import shlex
import subprocess
import tomllib
from configparser import ConfigParser
from dataclasses import MISSING, fields
from pathlib import Path

import pytest
from typer.testing import CliRunner

from benchmarks.tables import DOCUMENTS, filled
from contracts import settings
from contracts.keys import key_hash
from contracts.models_toml import read_models_toml
from contracts.specs import CpuSpec, Deployment, Gate, GpuSpec, ModelSpec, Throttle
from functions.router.http import openapi
from local.certificate import CA_FILE, HOST
from tests.fixtures.paths import ROOT
from turnout.cli import app
from turnout.client import STATE, Endpoint, curl
from turnout.image.current import functions_of
from turnout.sam.making import CONFIG as SAM_CONFIG
from turnout.sam.making import ENVIRONMENT, PROBE, TEMPLATE, VARIABLES
from turnout.sam.making import commands as sam_commands
from turnout.sam.template import image_tag

README = (ROOT / "README.md").read_text("utf-8")
DESIGN = (ROOT / "DESIGN.md").read_text("utf-8")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_tables_are_those_of_the_results(document: Path) -> None:
    text = document.read_text("utf-8")
    assert filled(text) == text


def test_the_first_screen_has_the_two_commands_and_the_answer() -> None:
    first = "\n".join(README.splitlines()[:60])
    for part in (
        "make demo",
        "make test",
        "[models.support-intent]",
        '"tier": "cpu"',
        '"reason": "fits_cpu"',
    ):
        assert part in first


def test_every_make_target_that_is_named_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    named = {
        name
        for document in DOCUMENTS
        for name in re.findall(r"`?make ([a-z]+)", document.read_text("utf-8"))
    }
    assert named - targets == set()
    assert {"demo", "test", "up"} <= named


def test_every_turnout_command_that_is_named_exists() -> None:
    named = {
        name
        for document in DOCUMENTS
        for name in re.findall(
            r"turnout (init|build|image|sign|vouch|plan|verify|inspect|up|sam|call|keys)\b",
            document.read_text("utf-8"),
        )
    }
    commands = "init build image sign vouch plan verify inspect up sam call keys"
    assert named == set(commands.split())


def test_every_page_is_listed() -> None:
    listed = re.findall(r"\]\((.+?)\)", (ROOT / "docs/README.md").read_text("utf-8"))
    assert {path.name for path in (ROOT / "docs").glob("*.md")} - set(listed) == {"README.md"}


def test_the_commands_of_the_page_on_keys_do_what_it_says(tmp_path: Path) -> None:
    keys = tmp_path / "keys.toml"
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / "docs/keys.md").read_text("utf-8"), re.DOTALL)
    made, rotation = ([line.split("#")[0] for line in block.splitlines()] for block in blocks)
    results = [
        CliRunner().invoke(app, shlex.split(line)[1:] + ["--keys", str(keys)])
        for line in (*made, made[0], *rotation)
    ]
    assert [result.exit_code for result in results] == [0] * 6
    key, listed, _, old, new, _ = (result.stdout.strip() for result in results)
    assert listed == "mobile-app"
    stored = keys.read_text("utf-8")
    assert f'mobile-app-2 = "{key_hash(new)}"' in stored
    assert not any(text in stored for text in (key, old, new, key_hash(key), key_hash(old)))


def test_every_path_that_is_linked_exists() -> None:
    for document in DOCUMENTS:
        for link in re.findall(r"\]\(([^)#:]+)\)", document.read_text("utf-8")):
            assert (document.parent / link).exists(), f"{document.name} links {link}"


SETTINGS: dict[str, tuple[dict[str, object], type]] = {
    "`[models.NAME]`": ({**settings.MODEL_KEYS}, ModelSpec),
    "`cpu`": ({**settings.CPU_KEYS}, CpuSpec),
    "`gpu`": ({**settings.GPU_KEYS}, GpuSpec),
    "`gate`": (dict.fromkeys(field.name for field in fields(Gate)), Gate),
    "`[deployment]`": ({**settings.DEPLOYMENT_KEYS}, Deployment),
    "`deployment.throttle`": ({**settings.THROTTLE_KEYS}, Throttle),
}


@pytest.mark.parametrize("heading", SETTINGS)
def test_every_setting_is_documented_with_its_default(heading: str) -> None:
    text = (ROOT / "docs/models-toml.md").read_text("utf-8")
    section = text.split(f"## {heading}\n")[1].split("\n## ")[0]
    documented = dict(re.findall(r"^\| `(\w+)` \| ([^|]+) \|", section, re.MULTILINE))
    keys, spec = SETTINGS[heading]
    assert list(documented) == list(keys)
    for field in fields(spec):
        if field.name in documented and isinstance(field.default, int | float | str):
            assert documented[field.name] == json.dumps(field.default)
        if field.name in documented and field.default is field.default_factory is MISSING:
            assert documented[field.name] == "required"


def test_the_table_in_the_readme_is_the_one_that_is_built() -> None:
    (block,) = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)
    assert block in (ROOT / "models.toml").read_text("utf-8")


def test_the_answer_in_the_readme_has_what_an_answer_has() -> None:
    (block,) = re.findall(r"```json\n(.*?)```", README, re.DOTALL)
    shown = json.loads(block)
    assert set(shown) == set(openapi.answer()["required"])
    assert set(shown["outputs"][0]) == {"label", "score", "tokens", "truncated"}


def test_the_request_in_the_readme_is_the_one_that_the_command_line_prints() -> None:
    (block,) = re.findall(r"```sh\n(curl .*?)```", README, re.DOTALL)
    shown = shlex.split(block.replace("\\\n", ""))
    (text,) = json.loads(shown[-1])["inputs"]
    endpoint = Endpoint(
        url=f"https://{HOST}:$PORT",
        key="$TURNOUT_KEY",
        ca_file=str(STATE / "cloud" / CA_FILE),
    )
    assert shown == shlex.split(curl(endpoint, "support-intent", text))


def test_the_design_has_a_line_for_every_dependency() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    groups = (
        project["build-system"]["requires"],
        project["project"]["dependencies"],
        *project["project"]["optional-dependencies"].values(),
        *project["dependency-groups"].values(),
        json.loads((ROOT / "package.json").read_text("utf-8"))["dependencies"],
        # "Nothing else" is said of this image.
        re.findall(r"^\w.*$", (ROOT / "functions/cpu/requirements.in").read_text(), re.MULTILINE),
    )
    names = {re.split(r"[^\w.-]", line)[0].lower() for group in groups for line in group}
    section = DESIGN.split("## Dependencies")[1].split("\n## ")[0]
    heads = re.findall(r"\*\*(.+?)\*\*", section)
    listed = {name.split()[0].lower() for head in heads for name in head.split(", ")}
    assert names - listed == set()


def test_the_design_lists_the_layers_that_imports_are_checked_by() -> None:
    contracts = ConfigParser()
    contracts.read(ROOT / ".importlinter")
    for package, before, after in (
        ("build", "Its layers, the highest first:", ". `lint-imports`"),
        ("router", "The layers inside `functions/router/` are", ". A decision"),
    ):
        layers = contracts[f"importlinter:contract:{package}-points-down"]["layers"]
        listed = DESIGN.split(before)[1].split(after)[0]
        assert re.findall(r"`(\w+)`", listed) == re.findall(r"\w+", layers)


def test_no_file_names_a_registry_host_or_a_machines_path() -> None:
    pattern = r"/wor[k]/|pyp[i]\.org|pythonhos[t]ed|registry\.npm[j]s|debia[n]\.org"
    found = subprocess.run(
        ["git", "grep", "-lE", pattern], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert found.stdout == ""


def test_the_page_on_sam_has_the_commands_and_files_of_turnout_sam() -> None:
    text = (ROOT / "docs/sam.md").read_text("utf-8")
    named = re.findall(r"^\| `(\S+\.(?:json|sh|toml))` \|", text, re.MULTILINE)
    assert sorted(named) == sorted([TEMPLATE, VARIABLES, PROBE, ENVIRONMENT, SAM_CONFIG])
    commands = re.findall(r"^\| `(sam local .+?)` \|", text, re.MULTILINE)
    deployment = read_models_toml(ROOT / "models.toml")
    names = list(functions_of(deployment))
    assert commands == sam_commands(ROOT / "sam.out", [names[0], names[1]])[1:]
    assert image_tag("NAME") in text
