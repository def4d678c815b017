"""`turnout sign` and `turnout verify --trust`: who signed an artefact, or why it is not trusted and not run."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from build import api
from build.errors import SourceError
from contracts.manifest import read_manifest
from contracts.models_toml import read_models_toml
from contracts.problems import Code
from signatures.errors import SigningFailed
from tests.fixtures.models.golden import golden
from tests.fixtures.models.tiny import artefact, vectors
from tests.fixtures.models.tiny_bert import classifier, write_rows
from tests.fixtures.problems import assert_problems
from tests.signatures.making import Pair, authority, pair
from turnout.cli import app

pytestmark = pytest.mark.build


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return pair(tmp_path_factory.mktemp("keys"))


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "models.out"
    golden(artefact(folder / "tiny/cpu"), "awful", "lovely")
    golden(artefact(folder / "vectors/gpu", vectors()), "one", "two")
    return folder


def run(*words: object) -> Any:
    done = CliRunner().invoke(app, [str(word) for word in words])
    if isinstance(done.exception, Exception) and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done


def verified(out: Path, *words: object) -> tuple[int, list[dict[str, Any]]]:
    done = run("verify", "--out", out, "--json", *words)
    return done.exit_code, json.loads(done.stdout)["artefacts"]


def test_what_is_signed_is_verified_by_its_key_and_keeps_its_version(out: Path, keys: Pair) -> None:
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    version = read_manifest(out / "tiny/cpu").version
    made = json.loads(run("sign", "--key", keys.private, "--out", out, "--json").stdout)
    assert {name: one["signature"] for name, one in made.items()} == {
        "tiny cpu": str(out / "tiny/signatures/cpu.sig"),
        "vectors gpu": str(out / "vectors/signatures/gpu.sig"),
    }
    assert {path: path.read_bytes() for path in before} == before
    code, found = verified(out, "--trust", keys.public)
    assert (code, [one["holds"] for one in found]) == (0, [True, True])
    assert found[0]["version"] == version
    assert found[0]["signed"] == {
        "by": f"{keys.public} ({found[0]['signed']['by'][-13:-1]})",
        "digest": made["tiny cpu"]["digest"],
        "problem": "",
    }
    shown = run("verify", "--out", out, "--trust", keys.public).stdout
    assert f"tiny cpu: signed by {keys.public}" in shown


def test_without_keys_nothing_is_said_of_signatures(out: Path) -> None:
    code, found = verified(out)
    assert (code, [one["signed"] for one in found]) == (0, [None, None])


def test_what_is_not_signed_is_not_run_and_the_next_step_is_named(out: Path, keys: Pair) -> None:
    run("sign", "tiny", "--key", keys.private, "--out", out)
    code, found = verified(out, "--trust", keys.public)
    assert (code, [one["holds"] for one in found]) == (1, [True, False])
    broken = found[1]["broken"]
    for part in ("turnout sign vectors --key KEY", "[signature_missing]", str(keys.public)):
        assert part in broken
    assert found[1]["rows"] == 0


def test_an_artefact_that_is_built_again_needs_another_signature(out: Path, keys: Pair) -> None:
    run("sign", "--key", keys.private, "--out", out)
    other = vectors(dimensions=5)
    for path in (out / "vectors/gpu").iterdir():
        path.unlink()
    (out / "vectors/gpu").rmdir()
    golden(artefact(out / "vectors/gpu", other), "one", "two")
    code, found = verified(out, "vectors", "--trust", keys.public)
    assert code == 1
    assert "[signature_differs]" in found[0]["broken"]
    run("sign", "--key", keys.private, "--out", out)
    assert verified(out, "--trust", keys.public)[0] == 0


def test_a_certificate_signs_and_its_authority_is_trusted(out: Path, tmp_path: Path) -> None:
    known = authority(tmp_path / "ca")
    signer = known.signer()
    words = ("--key", signer.key, "--certificate", signer.certificate, "--chain", known.path)
    run("sign", "--out", out, *words)
    assert verified(out, "--trust", known.path)[0] == 0
    assert verified(out, "--trust", pair(tmp_path).public)[0] == 1


def test_a_key_that_cannot_be_trusted_ends_the_command(out: Path, keys: Pair) -> None:
    with pytest.raises(SigningFailed) as caught:
        run("verify", "--out", out, "--trust", keys.private)
    assert_problems(caught.value.problems, (Code.KEY_INVALID, keys.private, "-pubout"))


def test_a_broken_artefact_is_not_signed_and_neither_is_another(out: Path, keys: Pair) -> None:
    (out / "tiny/cpu/model.onnx").write_bytes(b"x")
    with pytest.raises(SigningFailed) as caught:
        run("sign", "--key", keys.private, "--out", out)
    assert [problem.code for problem in caught.value.problems] == [Code.ARTEFACT_BROKEN]
    assert not list(out.rglob("*.sig"))


def test_a_key_that_cannot_sign_is_named(out: Path, keys: Pair) -> None:
    with pytest.raises(SigningFailed) as caught:
        run("sign", "--key", keys.public, "--out", out)
    (problem,) = caught.value.problems
    assert problem.code is Code.KEY_INVALID
    assert str(keys.public) in problem.message


TABLE = """
[deployment]
trusted_keys = ["keys/release.pub"]

[models.films]
source = "{source}"
task = "text-classification"
eval = "rows.jsonl"
cpu = {{}}
"""


@pytest.fixture
def config(tmp_path: Path, keys: Pair) -> Path:
    """A models.toml whose source, a folder, has to be signed."""
    classifier(tmp_path / "source")
    write_rows(tmp_path / "rows.jsonl", [{"text": "a good film"}, {"text": "a bad plot"}])
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys/release.pub").write_bytes(keys.public.read_bytes())
    path = tmp_path / "models.toml"
    path.write_text(TABLE.format(source="source"), "utf-8")
    return path


def refused(config: Path) -> SourceError:
    with pytest.raises(SourceError) as caught:
        api.plan(read_models_toml(config), config.parent / "models.out")
    return caught.value


def test_a_source_is_read_only_if_a_trusted_key_has_signed_it(config: Path, keys: Pair) -> None:
    source = config.parent / "source"
    (problem,) = refused(config).problems
    assert problem.code is Code.SIGNATURE_MISSING
    assert problem.where == f"films: {source}"
    assert "turnout sign films --source --key KEY" in problem.message
    made = json.loads(
        run("sign", "films", "--source", "--key", keys.private, "--config", config, "--json").stdout
    )
    assert made["films source"]["signature"] == str(config.parent / "source.sig")
    (step,) = api.plan(read_models_toml(config), config.parent / "models.out")
    unsigned = (config.parent / "source.sig").rename(source / "model.sig")
    (within,) = api.plan(read_models_toml(config), config.parent / "models.out")
    # A signature is no part of the source: its digest, and so the build key, stay as they are.
    assert within.source.digest == step.source.digest
    unsigned.unlink()
    assert refused(config).problems[0].code is Code.SIGNATURE_MISSING


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors"])
def test_a_source_that_was_changed_after_it_was_signed_is_refused(
    config: Path, keys: Pair, name: str
) -> None:
    run("sign", "--source", "--key", keys.private, "--config", config)
    path = config.parent / "source" / name
    path.write_bytes(path.read_bytes() + b" ")
    (problem,) = refused(config).problems
    assert (problem.code, name in problem.message) == (Code.SIGNATURE_DIFFERS, True)


def test_a_source_by_another_key_is_refused_with_the_problems_of_its_rows(
    config: Path, tmp_path: Path
) -> None:
    run("sign", "--source", "--key", pair(tmp_path / "o").private, "--config", config)
    (config.parent / "rows.jsonl").write_text("{}\n", "utf-8")
    codes = [problem.code for problem in refused(config).problems]
    assert codes == [Code.SIGNATURE_UNTRUSTED, Code.ROWS_INVALID]


def test_a_tokenizer_outside_of_what_is_signed_is_refused(config: Path, keys: Pair) -> None:
    run("sign", "--source", "--key", keys.private, "--config", config)
    text = config.read_text("utf-8") + 'tokenizer = "tokenizer.json"\n'
    config.write_text(text, "utf-8")
    (problem,) = refused(config).problems
    assert problem.code is Code.SIGNATURE_MISSING
    assert problem.where == f"films: {config.parent / 'tokenizer.json'}"


def test_a_model_may_have_keys_of_its_own_or_none(config: Path, tmp_path: Path, keys: Pair) -> None:
    other, plain = pair(tmp_path / "keys", "other"), config.read_text("utf-8")
    run("sign", "--source", "--key", other.private, "--config", config)
    assert refused(config).problems[0].code is Code.SIGNATURE_UNTRUSTED
    config.write_text(plain + 'trusted_keys = ["keys/other.pub"]\n', "utf-8")
    assert api.plan(read_models_toml(config), tmp_path / "models.out")
    (tmp_path / "source.sig").unlink()
    config.write_text(plain + "trusted_keys = []\n", "utf-8")
    assert api.plan(read_models_toml(config), tmp_path / "models.out")


def test_models_that_there_are_not_are_named(config: Path, keys: Pair) -> None:
    with pytest.raises(SigningFailed) as caught:
        run("sign", "film", "--source", "--key", keys.private, "--config", config)
    assert_problems(caught.value.problems, (Code.MODEL_UNKNOWN, "film", "films"))
