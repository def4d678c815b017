"""The commands and settings of docs/signatures.md do what the page says."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from build.errors import SourceError
from contracts.models_toml import read_models_toml
from contracts.problems import Code
from images.errors import ImageError, PushError
from stacks.errors import StackError
from tests.fixtures.models.golden import golden
from tests.fixtures.models.tiny import artefact
from tests.fixtures.paths import ROOT
from turnout.cli import app

pytestmark = pytest.mark.build

TEXT = (ROOT / "docs/signatures.md").read_text("utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


def test_the_commands_make_a_key_sign_verify_and_vouch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    golden(artefact(tmp_path / "models.out/films/cpu"), "awful", "lovely")
    release, vouch = (
        [shlex.split(line, comments=True) for line in block.splitlines()] for block in blocks("sh")
    )
    keys = [
        [word.replace("release", who) for word in words]
        for who in ("release", "auditor")
        for words in release[:2]
    ]
    for words in keys:
        subprocess.run(words, check=True, capture_output=True)
    for words in (*release[2:], *vouch):
        assert words[0] == "turnout"
        done = CliRunner().invoke(app, words[1:])
        assert done.exit_code == 0, done.output
    assert "signed by release.pub" in done.stdout
    assert "vouched for by auditor.pub" in done.stdout
    assert (tmp_path / "models.out/films/signatures/cpu.sig").is_file()


def test_the_settings_are_read_and_a_models_own_replace_the_deployments(tmp_path: Path) -> None:
    more = '[models.{}]\nsource = "x"\ntask = "text-classification"\neval = "x"\ncpu = {{}}\n'
    (settings,) = blocks("toml")
    first = settings.replace("[models.films]\n", more.format("films"))
    (tmp_path / "models.toml").write_text(first + more.format("others"), "utf-8")
    films, others = read_models_toml(tmp_path / "models.toml").models
    keys = tmp_path / "keys"
    assert films.trusted_keys == (keys / "release.pub", keys / "studio.crt")
    assert others.trusted_keys == (keys / "release.pub",)


def test_the_page_names_every_code_of_a_signature() -> None:
    codes = {code.value for code in Code if code.startswith(("signature_", "key_"))}
    assert codes == set(re.findall(r"`((?:signature|key)_\w+)`", TEXT))


def test_the_page_names_the_commands_and_their_codes() -> None:
    rows = dict(re.findall(r"^\| (`[^|]+) \| [^|]+ \| `(\w+)` \|$", TEXT, re.MULTILINE))
    errors = (SourceError, ImageError, PushError, StackError)
    assert list(rows.values()) == [error.code for error in errors]
