"""The making of signatures: a folder signed by the library, the result read again before it takes its place."""

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from contracts.problems import Code
from signatures.errors import Refused
from signatures.folder import HUB_CACHE, check_folder, present
from signatures.keys import TrustedKey, private_key, public_pem, trusted_keys
from signatures.places import WITHIN


@dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """A private key, with the certificate that it signs by and the authorities above that, if any."""

    key: Path
    certificate: Path | None = None
    chain: tuple[Path, ...] = ()

    def check(self) -> None:
        """Raise Refused unless the key can sign, and the certificate is its own."""
        try:
            public = private_key(self.key).public_key()
        except Refused as refused:
            raise Refused(
                refused.problem.code, f"{self.key} {refused.problem.message}"
            ) from refused
        if self.certificate:
            _, problems = trusted_keys([self.certificate, *self.chain])
            for problem in problems:
                raise Refused(problem.code, str(problem))
            self._check_certificate(self.certificate, public)

    def _check_certificate(self, path: Path, public: object) -> None:
        from cryptography.x509 import load_pem_x509_certificate

        if load_pem_x509_certificate(path.read_bytes()).public_key() != public:
            message = f"{path} is the certificate of another key than {self.key}; name the one that was issued for it"
            raise Refused(Code.KEY_INVALID, message)

    def trusted(self, folder: Path) -> TrustedKey:
        """Return what trusts this signer: the highest certificate, or the public key, written to a folder."""
        if self.certificate:
            path = self.chain[-1] if self.chain else self.certificate
        else:
            path = folder / "key.pub"
            path.write_bytes(public_pem(private_key(self.key).public_key()))
        (key,), _ = trusted_keys([path])
        return key


def sign_folder(root: Path, signature: Path, signer: Signer) -> str:
    """Write the signature of a folder or file; return the model's digest in it.

    What was written is verified before it takes its place. Raise Refused for what cannot be signed: a folder without
    files, which the library would sign, and a key or certificate that cannot be used.
    """
    signer.check()
    if not present(root):
        message = (
            "holds no file, so a signature of it would say nothing; name the folder of a model"
        )
        raise Refused(Code.FILE_MISSING, message)
    signature.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".sign-", dir=signature.parent) as folder:
        half = Path(folder) / signature.name
        _write(root, half, signer)
        signed = check_folder(root, half, [signer.trusted(Path(folder))])
        os.replace(half, signature)
    return signed.root


def _write(root: Path, signature: Path, signer: Signer) -> None:
    from model_signing import hashing, signing

    config = signing.Config()
    if signer.certificate:
        config.use_certificate_signer(
            private_key=signer.key,
            signing_certificate=signer.certificate,
            certificate_chain=signer.chain,
        )
    else:
        config.use_elliptic_key_signer(private_key=signer.key)
    # Of what the format leaves out by itself, the library records the names.
    config.set_hashing_config(hashing.Config().set_ignored_paths(paths=[WITHIN, HUB_CACHE]))
    try:
        config.sign(root, signature)
    # The library's error for links, among others.
    except ValueError as error:
        raise Refused(
            Code.FILE_OUTSIDE, f"cannot be signed: {error}; copy what links lead to"
        ) from error
