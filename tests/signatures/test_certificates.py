"""A certificate signs, and who trusts its authority trusts it: today, and for signing."""

from pathlib import Path

import pytest

from contracts.problems import Code
from signatures.errors import Refused
from signatures.signing import Signer, sign_folder
from tests.signatures.making import authority, check, model, pair, payload, refused


def test_a_certificate_is_trusted_through_its_authority(tmp_path: Path) -> None:
    known, other = authority(tmp_path / "known"), authority(tmp_path / "other")
    folder = model(tmp_path / "model")
    sign_folder(folder, tmp_path / "model.sig", known.signer())
    assert check(folder, other.path, known.path).by.path == known.path
    code, message = refused(folder, other.path)
    assert code is Code.SIGNATURE_UNTRUSTED
    assert "CN=leaf" in message
    assert refused(folder, pair(tmp_path).public)[0] is Code.SIGNATURE_UNTRUSTED
    (folder / "model.onnx").write_bytes(b"x")
    assert refused(folder, known.path)[0] is Code.SIGNATURE_DIFFERS


def test_a_changed_statement_by_a_certificate_is_refused(tmp_path: Path) -> None:
    known, folder = authority(tmp_path / "known"), model(tmp_path / "model")
    signature = tmp_path / "model.sig"
    sign_folder(folder, signature, known.signer())
    signature.write_text(payload(signature, lambda s: s.update(subject=[])), "utf-8")
    assert refused(folder, known.path)[0] is Code.SIGNATURE_INVALID


@pytest.mark.parametrize("days", [(-30, -1), (1, 30)])
def test_a_certificate_that_is_not_valid_today_is_refused(
    tmp_path: Path, days: tuple[int, int]
) -> None:
    known, folder = authority(tmp_path / "known"), model(tmp_path / "model")
    with pytest.raises(Refused, match="is by a certificate that is valid from") as caught:
        sign_folder(folder, tmp_path / "model.sig", known.signer(days=days))
    assert caught.value.problem.code is Code.SIGNATURE_UNTRUSTED
    assert not (tmp_path / "model.sig").exists()


def test_a_certificate_that_is_not_for_signing_is_refused(tmp_path: Path) -> None:
    known, folder = authority(tmp_path / "known"), model(tmp_path / "model")
    with pytest.raises(Refused, match="cannot be used for signing"):
        sign_folder(folder, tmp_path / "model.sig", known.signer(use=False))


def test_a_certificate_of_another_key_is_refused_before_anything_is_signed(tmp_path: Path) -> None:
    known = authority(tmp_path / "known")
    one, other = known.signer("one"), known.signer("other")
    mixed = Signer(key=one.key, certificate=other.certificate, chain=one.chain)
    with pytest.raises(Refused, match="is the certificate of another key") as caught:
        sign_folder(model(tmp_path / "model"), tmp_path / "model.sig", mixed)
    assert caught.value.problem.code is Code.KEY_INVALID
