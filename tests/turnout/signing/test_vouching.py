"""A third party runs golden rows, signs what it found, and is compared with what `turnout verify` finds."""

import base64
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from google.protobuf.json_format import ParseDict
from in_toto_attestation.predicates.test_result.v0 import test_result_pb2
from in_toto_attestation.v1 import statement_pb2
from in_toto_attestation.v1.statement import Statement
from securesystemslib.dsse import Envelope
from securesystemslib.signer import SSlibKey
from typer.testing import CliRunner

from build.proof.golden import golden_path
from contracts.manifest import file_sha256
from contracts.problems import Code
from signatures.errors import SigningFailed
from signatures.keys import trusted_keys
from tests.fixtures.models.golden import golden, sealed
from tests.fixtures.models.tiny import Tiny, artefact, seal
from tests.signatures.making import Pair, authority, pair
from turnout.cli import app

pytestmark = pytest.mark.build


@pytest.fixture(scope="module")
def auditor(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return pair(tmp_path_factory.mktemp("auditor"), "auditor")


@pytest.fixture(scope="module")
def vouched(tmp_path_factory: pytest.TempPathFactory, auditor: Pair) -> Path:
    """An artefact that its publisher signed and an auditor vouches for."""
    out = tmp_path_factory.mktemp("vouched")
    golden(artefact(out / "tiny/cpu"), "awful", "lovely", "fine")
    run("sign", "--key", pair(out.parent, "release").private, "--out", out)
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    made = json.loads(run("vouch", "--key", auditor.private, "--out", out, "--json").stdout)
    assert list(made) == ["tiny cpu"]
    # Nothing of the publisher's is touched.
    assert {path: path.read_bytes() for path in before} == before
    added = {path for path in out.rglob("*") if path.is_file()} - before.keys()
    assert added == {Path(made["tiny cpu"]["statement"])}
    return out


@pytest.fixture
def out(vouched: Path, tmp_path: Path) -> Path:
    return shutil.copytree(vouched, tmp_path / "models.out")


def run(*words: object) -> Any:
    done = CliRunner().invoke(app, [str(word) for word in words])
    if isinstance(done.exception, Exception) and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done


def verified(out: Path, *keys: Path) -> tuple[int, dict[str, Any]]:
    options = [word for key in keys for word in ("--vouched-by", key)]
    done = run("verify", "--out", out, "--json", *options)
    (one,) = json.loads(done.stdout)["artefacts"]
    return done.exit_code, one


def statement_of(out: Path) -> Path:
    (path,) = (out / "tiny/signatures/cpu").iterdir()
    return path


def test_the_statement_is_an_in_toto_test_result_in_a_dsse_envelope(
    out: Path, auditor: Pair
) -> None:
    (key,), _ = trusted_keys([auditor.public])
    assert statement_of(out).name == f"{key.fingerprint[:12]}.intoto.json"
    envelope = Envelope.from_dict(json.loads(statement_of(out).read_text("utf-8")))
    public: Any = load_pem_public_key(auditor.public.read_bytes())
    assert envelope.verify([SSlibKey.from_crypto(public, keyid=key.fingerprint)], 1)
    assert envelope.payload_type == "application/vnd.in-toto+json"
    document = json.loads(envelope.payload)
    parsed = ParseDict(
        {("type" if k == "_type" else k): v for k, v in document.items()}, statement_pb2.Statement()
    )
    Statement.copy_from_pb(parsed).validate()
    result = ParseDict(document["predicate"], test_result_pb2.TestResult())
    assert (result.result, list(result.passed_tests)) == ("PASSED", ["gate", "golden rows"])
    (subject,) = parsed.subject
    assert subject.digest["sha256"] == file_sha256(out / "tiny/cpu/manifest.json")
    assert result.configuration[0].digest["sha256"] == file_sha256(golden_path(out / "tiny/cpu"))


def test_verify_runs_the_rows_again_and_finds_what_was_stated(out: Path, auditor: Pair) -> None:
    code, one = verified(out, auditor.public)
    assert (code, one["holds"], one["same"]) == (0, True, 3)
    assert [who["problem"] for who in one["vouched"]] == [""]
    shown = run("verify", "--out", out, "--vouched-by", auditor.public).stdout
    assert f"tiny cpu: vouched for by {auditor.public}" in shown


def test_two_parties_vouch_beside_each_other(out: Path, auditor: Pair, tmp_path: Path) -> None:
    other = pair(tmp_path, "other")
    code, one = verified(out, auditor.public, other.public)
    assert (code, one["holds"]) == (1, False)
    (fine, lacking) = one["vouched"]
    assert fine["problem"] == ""
    assert "turnout vouch" in lacking["problem"]
    assert "[signature_missing]" in lacking["problem"]
    run("vouch", "tiny", "--key", other.private, "--out", out)
    assert verified(out, auditor.public, other.public)[0] == 0


def payload(path: Path, change: Callable[[Any], object]) -> None:
    document = json.loads(path.read_text("utf-8"))
    statement = json.loads(base64.b64decode(document["payload"]))
    change(statement)
    document["payload"] = base64.b64encode(json.dumps(statement).encode()).decode()
    path.write_text(json.dumps(document), "utf-8")


GARBLED: dict[str, Callable[[Path], object]] = {
    "another result": lambda at: payload(at, lambda s: s["predicate"].update(result="WARNED")),
    "another subject": lambda at: payload(at, lambda s: s["subject"][0].update(name="x")),
    "cut short": lambda at: at.write_bytes(at.read_bytes()[:-20]),
    "empty": lambda at: at.write_bytes(b""),
    "no signature": lambda at: at.write_text(
        json.dumps({**json.loads(at.read_text("utf-8")), "signatures": []}), "utf-8"
    ),
}


@pytest.mark.parametrize("how", GARBLED)
def test_a_statement_that_was_changed_vouches_for_nothing(
    out: Path, auditor: Pair, how: str
) -> None:
    GARBLED[how](statement_of(out))
    code, one = verified(out, auditor.public)
    assert (code, one["holds"]) == (1, False)
    assert "[signature_invalid]" in one["vouched"][0]["problem"]


def test_a_statement_about_another_artefact_vouches_for_nothing(out: Path, auditor: Pair) -> None:
    folder = out / "tiny/cpu"
    sealed(seal(folder, Tiny(precision="int8")))
    code, one = verified(out, auditor.public)
    assert (code, one["same"]) == (1, 3)
    assert "is another artefact" in one["vouched"][0]["problem"]


def test_a_statement_about_other_golden_rows_vouches_for_nothing(out: Path, auditor: Pair) -> None:
    golden(out / "tiny/cpu", "awful", "lovely")
    code, one = verified(out, auditor.public)
    assert (code, one["same"]) == (1, 2)
    assert "has other golden rows" in one["vouched"][0]["problem"]


def test_nobody_vouches_for_an_artefact_that_answers_otherwise(out: Path, auditor: Pair) -> None:
    path = golden_path(out / "tiny/cpu")
    path.write_text(path.read_text("utf-8").replace('"bad"', '"good"'), "utf-8")
    sealed(out / "tiny/cpu")
    before = statement_of(out).read_bytes()
    with pytest.raises(SigningFailed) as caught:
        run("vouch", "--key", auditor.private, "--out", out)
    (problem,) = caught.value.problems
    assert problem.code is Code.ARTEFACT_BROKEN
    assert "`turnout verify`" in problem.message
    assert statement_of(out).read_bytes() == before
    assert verified(out, auditor.public)[1]["vouched"] == []


def test_a_certificate_cannot_vouch(out: Path, tmp_path: Path) -> None:
    code, one = verified(out, authority(tmp_path / "ca").path)
    assert code == 1
    assert "[key_invalid]" in one["vouched"][0]["problem"]


def test_a_key_that_cannot_sign_is_named_before_anything_is_run(out: Path, auditor: Pair) -> None:
    with pytest.raises(SigningFailed) as caught:
        run("vouch", "--key", auditor.public, "--out", out)
    assert [problem.code for problem in caught.value.problems] == [Code.KEY_INVALID]
