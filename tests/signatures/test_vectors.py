"""The test vectors of the specification and of its library: what they call valid is trusted, all else is refused.

`vectors/README.md` says where they are from.
"""

import base64
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from contracts.problems import Code
from signatures.errors import Refused
from signatures.folder import check_folder
from signatures.keys import TrustedKey, trusted_keys
from signatures.signing import Signer, sign_folder
from tests.fixtures.paths import ROOT
from tests.signatures.making import authority, model, pair

VECTORS = ROOT / "tests/signatures/vectors"
BUNDLES = VECTORS / "specification/test-vectors/v1.0"
SCHEMAS = VECTORS / "specification/schemas/v1.0"
LIBRARY = VECTORS / "library"
KEYS = LIBRARY / "keys/certificate"
# The folder that the specification's bundles are about.
FOLDER = LIBRARY / "v1.1.0-elliptic-key"
SINGLE_FILES = ("v0.3.1-elliptic-key", "v1.0.0-elliptic-key")


def trusted() -> tuple[TrustedKey, ...]:
    keys, problems = trusted_keys([KEYS / "signing-key-pub.pem", KEYS / "ca-cert.pem"])
    assert problems == []
    return keys


def left_out(name: str) -> bool:
    """Return False for the file that the signers of the vectors left out."""
    return name != "ignore-me"


def names(folder: str) -> list[str]:
    found = sorted(path.name for path in (BUNDLES / folder).iterdir())
    assert found
    return found


@pytest.mark.parametrize("name", ["key.bundle.json", "certificate.bundle.json"])
def test_a_valid_bundle_is_trusted_for_its_folder_and_for_no_other(
    name: str, tmp_path: Path
) -> None:
    bundle = BUNDLES / "valid" / name
    signed = check_folder(FOLDER, bundle, trusted(), read=left_out)
    assert signed.root == "92745110b1ab4368471cbe31664e10174e954b113a3df333db860317b2c6dec4"
    assert sorted(signed.digests) == ["signme-1", "signme-2"]
    with pytest.raises(Refused) as caught:
        check_folder(model(tmp_path / "model"), bundle, trusted())
    assert caught.value.problem.code is Code.SIGNATURE_DIFFERS


def test_the_valid_bundle_of_sigstore_is_read_and_not_trusted() -> None:
    assert "sigstore.bundle.json" in names("valid")
    with pytest.raises(Refused, match="made through Sigstore") as caught:
        check_folder(FOLDER, BUNDLES / "valid/sigstore.bundle.json", trusted(), read=left_out)
    assert caught.value.problem.code is Code.SIGNATURE_UNTRUSTED


INVALID = [(kind, name) for kind in ("invalid", "invalid-payload") for name in names(kind)]


@pytest.mark.parametrize(("kind", "name"), INVALID)
def test_an_invalid_bundle_is_refused(kind: str, name: str) -> None:
    with pytest.raises(Refused) as caught:
        check_folder(FOLDER, BUNDLES / kind / name, trusted(), read=left_out)
    assert caught.value.problem.code in (Code.SIGNATURE_INVALID, Code.SIGNATURE_UNTRUSTED)


@pytest.mark.parametrize("folder", sorted(path.name for path in LIBRARY.glob("v*")))
def test_signatures_of_every_release_of_the_library_are_trusted(
    folder: str, tmp_path: Path
) -> None:
    # This release did not record what its signers left out, and had it named again.
    ignoring = shutil.ignore_patterns(*["ignore-me"] * folder.startswith("v1.0.1"))
    root = shutil.copytree(LIBRARY / folder, tmp_path / folder, ignore=ignoring)
    what = root / "signme-1" if folder in SINGLE_FILES else root
    assert check_folder(what, root / "model.sig", trusted(), read=left_out).digests
    (root / "signme-1").write_text("changed", "utf-8")
    with pytest.raises(Refused, match="signme-1 is not the file that was signed"):
        check_folder(what, root / "model.sig", trusted(), read=left_out)


def schema_errors(bundle: Any) -> list[str]:
    """Return the errors of a bundle, and of the statement in it, by the specification's schemas."""
    schemas = [json.loads(path.read_text("utf-8")) for path in SCHEMAS.iterdir()]
    assert len(schemas) == 4
    registry: Any = Registry().with_resources(
        [(schema["$id"], Resource.from_contents(schema)) for schema in schemas]
    )
    of = {schema["title"]: Draft202012Validator(schema, registry=registry) for schema in schemas}
    found = [error.message for error in of["OMS Bundle"].iter_errors(bundle)]
    if not found:
        statement = json.loads(base64.b64decode(bundle["dsseEnvelope"]["payload"]))
        (of_statement,) = [
            kind for title, kind in of.items() if "Statement" in title and "Predicate" not in title
        ]
        found = [error.message for error in of_statement.iter_errors(statement)]
    return found


@pytest.mark.parametrize("what", ["folder", "file"])
@pytest.mark.parametrize("by", ["key", "certificate"])
def test_our_own_signatures_are_valid_by_the_specification(
    what: str, by: str, tmp_path: Path
) -> None:
    signer: Signer = pair(tmp_path).signer if by == "key" else authority(tmp_path).signer()
    folder = model(tmp_path / "model")
    sign_folder(folder if what == "folder" else folder / "model.onnx", tmp_path / "sig", signer)
    assert schema_errors(json.loads((tmp_path / "sig").read_text("utf-8"))) == []


def test_the_schemas_tell_the_vectors_apart() -> None:
    for name in names("valid"):
        assert schema_errors(json.loads((BUNDLES / "valid" / name).read_text("utf-8"))) == []
    for kind, name in INVALID:
        text = (BUNDLES / kind / name).read_text("utf-8")
        assert not text or schema_errors(json.loads(text)) != [], name
