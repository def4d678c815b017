"""A file that is no key of the right kind is named, with the command that makes one."""

from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from contracts.problems import Code
from signatures.errors import Refused
from signatures.keys import private_key, trusted_keys
from tests.signatures.making import CURVE, PASSWORD, authority, pair, write_private, write_public

RSA = rsa.generate_private_key(65537, 2048)


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()])
def test_keys_of_the_three_curves_are_read(tmp_path: Path, curve: ec.EllipticCurve) -> None:
    made = pair(tmp_path, curve=curve)
    (found,), problems = trusted_keys([made.public])
    assert (problems, found.certificate, len(found.fingerprint)) == ([], False, 64)
    assert private_key(made.private).curve.name == curve.name


PUBLIC: dict[str, tuple[Callable[[Path], object], str]] = {
    "private": (lambda at: write_private(at, ec.generate_private_key(CURVE)), "-pubout"),
    "rsa": (lambda at: write_public(at, RSA.public_key()), "P-256, P-384, P-521"),
    "curve": (
        lambda at: write_public(at, ec.generate_private_key(ec.SECP256K1()).public_key()),
        "P-256, P-384, P-521",
    ),
    "ed25519": (
        lambda at: write_public(at, ed25519.Ed25519PrivateKey.generate().public_key()),
        "P-256, P-384, P-521",
    ),
    "text": (lambda at: at.write_text("ssh-ed25519 AAAA"), "neither a public key nor"),
    "none": (lambda at: None, "cannot be read"),
    "folder": (lambda at: at.mkdir(), "cannot be read"),
    "certificate": (
        lambda at: at.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
        "export it again",
    ),
}


@pytest.mark.parametrize("kind", PUBLIC)
def test_what_cannot_be_trusted_is_named(tmp_path: Path, kind: str) -> None:
    write, said = PUBLIC[kind]
    write(tmp_path / "key")
    keys, (problem,) = trusted_keys([tmp_path / "key"])
    assert keys == ()
    assert (problem.code, problem.where) == (Code.KEY_INVALID, str(tmp_path / "key"))
    assert said in problem.message


def test_every_key_that_cannot_be_trusted_is_named_at_once(tmp_path: Path) -> None:
    good = pair(tmp_path).public
    keys, problems = trusted_keys([tmp_path / "a", good, authority(tmp_path).path, tmp_path / "b"])
    assert [key.certificate for key in keys] == [False, True]
    assert [problem.where for problem in problems] == [str(tmp_path / "a"), str(tmp_path / "b")]


PRIVATE: dict[str, tuple[Callable[[Path], object], str]] = {
    "public": (
        lambda at: write_public(at, ec.generate_private_key(CURVE).public_key()),
        "no private key",
    ),
    "rsa": (lambda at: write_private(at, RSA), "P-256, P-384, P-521"),
    "curve": (
        lambda at: write_private(at, ec.generate_private_key(ec.SECP256K1())),
        "P-256, P-384, P-521",
    ),
    "encrypted": (
        lambda at: write_private(at, ec.generate_private_key(CURVE), PASSWORD),
        "is encrypted",
    ),
    "none": (lambda at: None, "cannot be read"),
}


@pytest.mark.parametrize("kind", PRIVATE)
def test_what_cannot_sign_is_refused(tmp_path: Path, kind: str) -> None:
    write, said = PRIVATE[kind]
    write(tmp_path / "key")
    with pytest.raises(Refused, match=said) as caught:
        private_key(tmp_path / "key")
    assert caught.value.problem.code is Code.KEY_INVALID
