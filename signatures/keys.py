"""Keys and certificates: read, checked for the kinds that the format has, and named by their fingerprint.

https://github.com/ossf/model-signing-spec/blob/main/algorithm-registry.md lists the kinds.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from contracts.problems import Code, Problem
from signatures.errors import Refused

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import (
        EllipticCurvePrivateKey,
        EllipticCurvePublicKey,
    )

# The curves that the library signs with.
CURVES = {"secp256r1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521"}
MAKE = "`openssl ecparam -name prime256v1 -genkey -noout -out key.pem` makes one"
WRONG_KIND = f"is no key on one of the curves {', '.join(CURVES.values())}, which models are signed with; {MAKE}"
PUBLIC = "`openssl ec -in key.pem -pubout -out key.pub` writes the public key of one"
# Characters of a fingerprint in a message.
SHOWN = 12
CERTIFICATE, PRIVATE = b"-----BEGIN CERTIFICATE-----", b"PRIVATE KEY-----"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustedKey:
    """A public key, or the certificate of an authority, that is trusted.

    `fingerprint` is the SHA-256 that a signature names a key by: of its PEM, or of a certificate's DER.
    """

    path: Path
    fingerprint: str
    certificate: bool = False

    def __str__(self) -> str:
        return f"{self.path} ({self.fingerprint[:SHOWN]})"


def trusted_keys(paths: Sequence[Path]) -> tuple[tuple[TrustedKey, ...], list[Problem]]:
    """Return the keys and certificates in PEM files, and the problem of each file that has none to be trusted."""
    keys: list[TrustedKey] = []
    problems: list[Problem] = []
    for path in paths:
        try:
            keys.append(_trusted(path))
        except Refused as refused:
            problems.append(refused.problem.within(path))
    return tuple(keys), problems


def _trusted(path: Path) -> TrustedKey:
    data = _read(path)
    if PRIVATE in data:
        message = f"holds a private key, which nobody but its owner may have; {PUBLIC}"
        raise Refused(Code.KEY_INVALID, message)
    if CERTIFICATE in data:
        return TrustedKey(path=path, fingerprint=_certificate_fingerprint(data), certificate=True)
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(data)
    except (ValueError, UnsupportedAlgorithm) as error:
        message = f"holds neither a public key nor a certificate in PEM; {PUBLIC}"
        raise Refused(Code.KEY_INVALID, message) from error
    return TrustedKey(path=path, fingerprint=fingerprint(key))


def _certificate_fingerprint(data: bytes) -> str:
    from cryptography import x509
    from cryptography.hazmat.primitives.hashes import SHA256

    try:
        # All of the file's certificates are trusted; the first names it.
        return x509.load_pem_x509_certificates(data)[0].fingerprint(SHA256()).hex()
    except ValueError as error:
        message = "holds a certificate that cannot be read; export it again in PEM"
        raise Refused(Code.KEY_INVALID, message) from error


def fingerprint(public_key: object) -> str:
    """Return the SHA-256 of a public key's PEM, by which signatures name it; raise Refused for another kind of key."""
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

    if not isinstance(public_key, EllipticCurvePublicKey) or public_key.curve.name not in CURVES:
        raise Refused(Code.KEY_INVALID, WRONG_KIND)
    return hashlib.sha256(public_pem(public_key)).hexdigest()


def public_pem(public_key: "EllipticCurvePublicKey") -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return public_key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def private_key(path: Path) -> "EllipticCurvePrivateKey":
    """Return the private key in a PEM file that can sign models; raise Refused."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    data = _read(path)
    try:
        key = load_pem_private_key(data, None)
    except TypeError as error:
        message = (
            "is encrypted, and the library signs with certificates by plain keys alone; "
            "`openssl ec -in KEY -out PLAIN` decrypts it for the time of signing"
        )
        raise Refused(Code.KEY_INVALID, message) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise Refused(Code.KEY_INVALID, f"holds no private key in PEM; {MAKE}") from error
    if not isinstance(key, EllipticCurvePrivateKey):
        raise Refused(Code.KEY_INVALID, WRONG_KIND)
    fingerprint(key.public_key())
    return key


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        message = f"cannot be read ({error.strerror}); name a file in PEM"
        raise Refused(Code.KEY_INVALID, message) from error
