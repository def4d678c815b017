"""Keys, certificates and folders that tests sign."""

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from contracts.problems import Code
from signatures.errors import Refused
from signatures.folder import check_folder
from signatures.keys import trusted_keys
from signatures.signed import Signed
from signatures.signing import Signer

CURVE = ec.SECP256R1()
PASSWORD = BestAvailableEncryption(b"secret")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A private key and its public key, as files."""

    private: Path
    public: Path

    @property
    def signer(self) -> Signer:
        return Signer(key=self.private)


def write_private(
    path: Path, key: Any, protection: KeySerializationEncryption | None = None
) -> Path:
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, protection or NoEncryption())
    path.write_bytes(pem)
    return path


def write_public(path: Path, key: Any) -> Path:
    path.write_bytes(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return path


def pair(folder: Path, name: str = "release", curve: ec.EllipticCurve = CURVE) -> Pair:
    """Write a new key and its public key."""
    folder.mkdir(parents=True, exist_ok=True)
    key = ec.generate_private_key(curve)
    return Pair(
        private=write_private(folder / f"{name}.pem", key),
        public=write_public(folder / f"{name}.pub", key.public_key()),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """A certificate authority that issues certificates for signing."""

    folder: Path
    key: ec.EllipticCurvePrivateKey
    path: Path

    def signer(
        self, name: str = "leaf", days: tuple[int, int] = (-1, 30), use: bool = True
    ) -> Signer:
        """Return a signer by a new key, whose certificate is valid from and until so many days from now."""
        key = ec.generate_private_key(CURVE)
        certificate = issue(name, key, "authority", self.key, days=days, signs=use)
        path = self.folder / f"{name}.crt"
        path.write_bytes(certificate.public_bytes(Encoding.PEM))
        private = write_private(self.folder / f"{name}.pem", key)
        return Signer(key=private, certificate=path, chain=(self.path,))


def authority(folder: Path, name: str = "authority") -> Authority:
    folder.mkdir(parents=True, exist_ok=True)
    key, path = ec.generate_private_key(CURVE), folder / f"{name}.crt"
    certificate = issue("authority", key, "authority", key, days=(-400, 400), is_authority=True)
    path.write_bytes(certificate.public_bytes(Encoding.PEM))
    return Authority(folder=folder, key=key, path=path)


def issue(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: str,
    issuer_key: ec.EllipticCurvePrivateKey,
    *,
    days: tuple[int, int],
    signs: bool = True,
    is_authority: bool = False,
) -> x509.Certificate:
    now = datetime.now(UTC)
    usage = x509.KeyUsage(
        digital_signature=signs and not is_authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=not signs,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        encipher_only=False,
        decipher_only=False,
    )
    extended = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION])
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + timedelta(days=days[0]))
        .not_valid_after(now + timedelta(days=days[1]))
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(extended, critical=False)
        .sign(issuer_key, SHA256())
    )


def model(folder: Path) -> Path:
    """Write a small folder of files, one of them in a folder within it."""
    (folder / "tokens").mkdir(parents=True)
    (folder / "model.onnx").write_bytes(bytes(range(256)) * 8)
    (folder / "manifest.json").write_text(json.dumps({"model": folder.name}), "utf-8")
    (folder / "tokens/tokenizer.json").write_text("{}", "utf-8")
    return folder


def check(folder: Path, *trusted: Path, signature: Path | None = None) -> Signed:
    found, problems = trusted_keys(trusted)
    assert problems == []
    return check_folder(folder, signature or folder.with_name(f"{folder.name}.sig"), found)


def refused(folder: Path, *trusted: Path, signature: Path | None = None) -> tuple[Code, str]:
    with pytest.raises(Refused) as caught:
        check(folder, *trusted, signature=signature)
    return caught.value.problem.code, caught.value.problem.message


def bundle(signature: Path) -> dict[str, dict[str, object]]:
    found: dict[str, dict[str, object]] = json.loads(signature.read_text("utf-8"))
    return found


def payload(signature: Path, change: Callable[[dict[str, object]], object]) -> str:
    """Return the signature with another statement and the same signature over it."""
    document = bundle(signature)
    statement = json.loads(base64.b64decode(str(document["dsseEnvelope"]["payload"])))
    change(statement)
    document["dsseEnvelope"]["payload"] = base64.b64encode(json.dumps(statement).encode()).decode()
    return json.dumps(document)
