"""The certificates of the HTTPS front, and the authority that clients trust them by; made anew at each start."""

import ssl
from pathlib import Path
from typing import Any

import trustme

from local.control.domains.mapping import is_custom

# The authority's certificate: the file that clients are given.
CA_FILE = "ca.pem"
# The host in the endpoint's URL.
HOST = "localhost"


class Certificates:
    """The authority, whose certificate it writes to a folder, and the certificates by it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.authority = folder, trustme.CA(organization_name="Turnout local cloud")
        self.authority.cert_pem.write_to_path(str(folder / CA_FILE))
        self.contexts: dict[str, ssl.SSLContext] = {}

    def front(self) -> Path:
        """Write a file with the front's certificate and private key, and return it."""
        certificate = self.folder / "front.pem"
        issued = self.authority.issue_cert(HOST, "127.0.0.1")
        issued.private_key_and_cert_chain_pem.write_to_path(str(certificate))
        # The file holds the private key.
        certificate.chmod(0o600)
        return certificate

    def choose(self, connection: Any, name: str | None, context: ssl.SSLContext) -> None:
        """Answer a client that asks for a custom domain with a certificate of it."""
        if name and is_custom(name):
            connection.context = self._context(name)

    def _context(self, name: str) -> ssl.SSLContext:
        if name not in self.contexts:
            made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.authority.issue_cert(name).configure_cert(made)
            self.contexts[name] = made
        return self.contexts[name]
