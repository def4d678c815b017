"""Statements of others about an artefact: an in-toto test result in a DSSE envelope, beside the signature.

Anyone with the artefact and its golden rows can run them, say so under a key of their own, and add that; nothing of the
publisher's is touched. https://github.com/in-toto/attestation/blob/main/spec/predicates/test-result.md,
https://github.com/secure-systems-lab/dsse/blob/v1.0.2/envelope.md
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contracts.manifest import MANIFEST, file_sha256
from contracts.problems import Code
from signatures.errors import Refused
from signatures.keys import SHOWN, TrustedKey, fingerprint, private_key
from signatures.places import statements_folder

STATEMENT = "https://in-toto.io/Statement/v1"
TEST_RESULT = "https://in-toto.io/attestation/test-result/v0.1"
PAYLOAD = "application/vnd.in-toto+json"
PASSED = "PASSED"
ENDING = ".intoto.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class TestResult:
    """The golden rows of an artefact, run by somebody and answered as when it was built.

    `golden` is the SHA-256 of their file and `rows` their number; `gate` are the figures of the build's gate, and
    `ran_on` and `ran_with` are the processor and the runtime that they were run by.
    """

    __test__ = False

    golden: str
    rows: int
    gate: Mapping[str, Any]
    ran_on: str
    ran_with: str


def statement_path(artefact: Path, key: str) -> Path:
    """Return the place of the statement by the key of that fingerprint."""
    return statements_folder(artefact) / f"{key[:SHOWN]}{ENDING}"


def write_statement(artefact: Path, name: str, result: TestResult, key: Path) -> Path:
    """Write a test result about an artefact, signed by a private key; return its place. Raise Refused for the key."""
    from securesystemslib.dsse import Envelope
    from securesystemslib.signer import CryptoSigner, SSlibKey

    private = private_key(key)
    mark = fingerprint(private.public_key())
    envelope = Envelope(json.dumps(_statement(artefact, name, result)).encode(), PAYLOAD, {})
    envelope.sign(CryptoSigner(private, SSlibKey.from_crypto(private.public_key(), keyid=mark)))
    path = statement_path(artefact, mark)
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(f".{path.name}.half")
    half.write_text(json.dumps(envelope.to_dict(), indent=2) + "\n", "utf-8")
    os.replace(half, path)
    return path


def _statement(artefact: Path, name: str, result: TestResult) -> dict[str, Any]:
    digest, rows, gate = _ran(result)
    return {
        "_type": STATEMENT,
        # Through the manifest, every byte that is served: `turnout verify` compares each with it.
        "subject": [{"name": f"{name}/{MANIFEST}", "digest": _digest(artefact)}],
        "predicateType": TEST_RESULT,
        "predicate": {
            "result": PASSED,
            "configuration": [
                {
                    "name": "golden.jsonl",
                    "digest": digest,
                    "annotations": {
                        "rows": rows,
                        "gate": gate,
                        "processor": result.ran_on,
                        "onnxruntime": result.ran_with,
                    },
                }
            ],
            "passedTests": ["gate", "golden rows"],
        },
    }


def _digest(artefact: Path) -> dict[str, str]:
    return {"sha256": file_sha256(artefact / MANIFEST)}


def check_statement(artefact: Path, key: TrustedKey, result: TestResult) -> None:
    """Raise Refused unless a key has stated of this artefact what was found now: the same rows, answered as then."""
    path = statement_path(artefact, key.fingerprint)
    again = "have it run again by `turnout vouch`"
    if key.certificate:
        message = f"{key} is a certificate, and statements are signed by keys; name the public key"
        raise Refused(Code.KEY_INVALID, message)
    if not path.is_file():
        raise Refused(Code.SIGNATURE_MISSING, f"has no statement by {key} at {path}; {again}")
    subject, outcome, ran = _stated(_read(path, key), path)
    if subject != _digest(artefact):
        message = f"is another artefact than the one that {key} ran; {again}"
        raise Refused(Code.SIGNATURE_DIFFERS, message)
    if ran != _ran(result):
        message = f"has other golden rows or figures than {key} ran it with; {again}"
        raise Refused(Code.SIGNATURE_DIFFERS, message)
    if outcome != PASSED:
        raise Refused(Code.SIGNATURE_DIFFERS, f"did not pass, says {key}: {outcome}; {again}")


def _ran(result: TestResult) -> tuple[Any, ...]:
    return {"sha256": result.golden}, result.rows, dict(result.gate)


def _stated(statement: Mapping[str, Any], path: Path) -> tuple[Any, Any, tuple[Any, ...]]:
    """Return the digest that a statement is about, its outcome, and the rows and figures that it names."""
    try:
        (subject,), predicate = statement["subject"], statement["predicate"]
        (ran,), annotations = (
            predicate["configuration"],
            predicate["configuration"][0]["annotations"],
        )
        named = ran["digest"], annotations["rows"], annotations["gate"]
        return subject["digest"], predicate["result"], named
    except (LookupError, TypeError, ValueError) as error:
        message = f"{path} names no golden rows, so it cannot be compared; have it made by `turnout vouch`"
        raise Refused(Code.SIGNATURE_INVALID, message) from error


def _read(path: Path, key: TrustedKey) -> dict[str, Any]:
    """Return the statement in an envelope; raise Refused unless the key signed it and it is a test result."""
    from cryptography.hazmat.primitives.serialization import load_pem_public_key
    from securesystemslib.dsse import Envelope
    from securesystemslib.exceptions import VerificationError
    from securesystemslib.signer import SSlibKey

    public: Any = load_pem_public_key(key.path.read_bytes())
    try:
        envelope = Envelope.from_dict(json.loads(path.read_text("utf-8")))
        envelope.verify([SSlibKey.from_crypto(public, keyid=key.fingerprint)], 1)
        statement: dict[str, Any] = json.loads(envelope.payload)
        described = (envelope.payload_type, statement["_type"], statement["predicateType"])
    except VerificationError as error:
        message = f"{path} was changed after {key} signed it; get it again"
        raise Refused(Code.SIGNATURE_INVALID, message) from error
    except Exception as error:  # whatever a damaged document leads the library to
        message = f"{path} is no statement, or is cut short ({type(error).__name__}); get it again"
        raise Refused(Code.SIGNATURE_INVALID, message) from error
    if described != (PAYLOAD, STATEMENT, TEST_RESULT):
        message = f"{path} is another statement than a test result; remove it"
        raise Refused(Code.SIGNATURE_INVALID, message)
    return statement
