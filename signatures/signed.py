"""The statement in a signature, once it is verified: which files a key has signed, by their digests.

The library verifies the envelope and reads the statement in it. Its public interface compares a whole folder and says
no more than that something differs, so its verifiers are called here: hence the exact version in pyproject.toml.
"""

import contextlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contracts.problems import Code
from signatures.errors import Refused
from signatures.keys import SHOWN, TrustedKey

if TYPE_CHECKING:
    from model_signing.manifest import Manifest

UNREADABLE = "is no signature of the OpenSSF Model Signing format, or is cut short; sign again"
TAMPERED = "was changed after it was made, or is not by the key that it names; sign again"
# Sigstore bundles are a few kilobytes, and more where a model has thousands of files.
MAX_BYTES = 64 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """The statement of a signature that a trusted key has made.

    `digests` are those of the files, or of their parts, by the names that the statement has for them; `root` is the
    SHA-256 over all of them, which is the model's digest in that format.
    """

    by: TrustedKey
    root: str
    digests: Mapping[str, str]
    settings: Mapping[str, Any]

    @property
    def plain(self) -> bool:
        """Return True if each digest is the SHA-256 of one whole file."""
        return (self.settings["method"], self.settings["hash_type"]) == ("files", "sha256")


def read_signed(path: Path, keys: Sequence[TrustedKey]) -> Signed:
    """Return what a signature says; raise Refused unless it is whole and one of the keys has made it."""
    document = _parsed(path)
    material: Any = document.get("verificationMaterial")
    match material:
        case {"publicKey": {**named}}:
            by, manifest = _by_key(path, str(named.get("hint") or ""), keys)
        case {"x509CertificateChain": {"certificates": [{"rawBytes": str()}, *_]}}:
            by, manifest = _by_certificate(path, material, keys)
        case {"certificate": {**_any}}:
            message = f"was made through Sigstore, without a key; trusted are {_listed(keys)}"
            raise Refused(Code.SIGNATURE_UNTRUSTED, f"{message}; sign again with one of these")
        case _:
            raise Refused(Code.SIGNATURE_INVALID, UNREADABLE)
    return Signed(
        by=by,
        root=_root(document),
        digests={one.identifier: one.digest.digest_hex for one in manifest.resource_descriptors()},
        settings=manifest.serialization_type,
    )


def _parsed(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise Refused(Code.SIGNATURE_INVALID, UNREADABLE)
        document = json.loads(path.read_text("utf-8"))
    except OSError as error:
        message = f"cannot be read ({error.strerror}); sign again"
        raise Refused(Code.SIGNATURE_INVALID, message) from error
    except (ValueError, RecursionError) as error:
        raise Refused(Code.SIGNATURE_INVALID, UNREADABLE) from error
    if not isinstance(document, dict):
        raise Refused(Code.SIGNATURE_INVALID, UNREADABLE)
    return document


def _root(document: Mapping[str, Any]) -> str:
    """Return the model's digest of a statement that is verified."""
    import base64

    statement = json.loads(base64.b64decode(document["dsseEnvelope"]["payload"]))
    # Signatures before version 1.0 have a subject for each file.
    subjects = statement["subject"]
    return str(subjects[0]["digest"]["sha256"]) if len(subjects) == 1 else ""


def _by_key(path: Path, hint: str, keys: Sequence[TrustedKey]) -> tuple[TrustedKey, "Manifest"]:
    from cryptography.exceptions import InvalidSignature
    from model_signing._signing.sign_ec_key import Verifier

    # Signatures of older releases have no fingerprint, so each key is tried.
    asked = [key for key in keys if not key.certificate and hint in ("", key.fingerprint)]
    for key in asked:
        try:
            return key, _verified(Verifier(key.path), path)
        except InvalidSignature as error:
            if hint:
                raise Refused(Code.SIGNATURE_INVALID, TAMPERED) from error
    who = f"the key {hint[:SHOWN]}" if hint else "another key"
    raise Refused(Code.SIGNATURE_UNTRUSTED, _not_trusted(who, keys))


def _by_certificate(
    path: Path, material: Mapping[str, Any], keys: Sequence[TrustedKey]
) -> tuple[TrustedKey, "Manifest"]:
    from cryptography.exceptions import InvalidSignature
    from model_signing._signing.sign_certificate import Verifier
    from OpenSSL.crypto import X509StoreContextError

    leaf = _leaf(material)
    for key in (key for key in keys if key.certificate):
        try:
            manifest = _verified(Verifier([key.path]), path)
        except InvalidSignature as error:
            raise Refused(Code.SIGNATURE_INVALID, TAMPERED) from error
        except X509StoreContextError:
            continue
        # The library verifies a chain as of the day when the certificate became valid.
        now = datetime.now(UTC)
        if not leaf.not_valid_before_utc <= now <= leaf.not_valid_after_utc:
            days = f"{leaf.not_valid_before_utc.date()} to {leaf.not_valid_after_utc.date()}"
            message = f"is by a certificate that is valid from {days}; sign again with another one"
            raise Refused(Code.SIGNATURE_UNTRUSTED, message)
        return key, manifest
    who = f"the certificate of {leaf.subject.rfc4514_string() or 'nobody'}"
    raise Refused(Code.SIGNATURE_UNTRUSTED, _not_trusted(who, keys))


def _leaf(material: Mapping[str, Any]) -> Any:
    import base64

    from cryptography.x509 import load_der_x509_certificate

    first = material["x509CertificateChain"]["certificates"][0]["rawBytes"]
    try:
        return load_der_x509_certificate(base64.b64decode(first, validate=True))
    except ValueError as error:
        raise Refused(Code.SIGNATURE_INVALID, UNREADABLE) from error


def _verified(verifier: Any, path: Path) -> "Manifest":
    """Return the statement of a signature by the library's verifier; raise Refused, or what cryptography raises."""
    from cryptography.exceptions import InvalidSignature
    from model_signing._signing.sign_sigstore_pb import Signature
    from OpenSSL.crypto import X509StoreContextError

    # The library prints a warning about signatures of its older releases, and a pipe gets results alone.
    with contextlib.redirect_stdout(io.StringIO()):
        try:
            manifest: Manifest = verifier.verify(Signature.read(path))
        except (InvalidSignature, X509StoreContextError):
            raise
        except Exception as error:  # pydantic's, or any that a damaged document leads to
            message = f"{UNREADABLE} ({type(error).__name__}: {str(error).splitlines()[0]:.100})"
            raise Refused(Code.SIGNATURE_INVALID, message) from error
    if not list(manifest.resource_descriptors()):
        # The format forbids it, and the library does not see it.
        raise Refused(Code.SIGNATURE_INVALID, "names no file, so it signs nothing; sign again")
    return manifest


def _not_trusted(who: str, keys: Sequence[TrustedKey]) -> str:
    return f"is by {who}, and trusted are {_listed(keys)}; sign again with one of these, or trust that one"


def _listed(keys: Sequence[TrustedKey]) -> str:
    return ", ".join(map(str, keys))
