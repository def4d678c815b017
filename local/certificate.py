"""The certificate of the HTTPS front, and the authority that clients trust it by; both are made anew at each start."""

from pathlib import Path

import trustme

# The authority's certificate: the file that clients are given.
CA_FILE = "ca.pem"
# The host in the endpoint's URL.
HOST = "localhost"


def issue(folder: Path) -> Path:
    """Write the authority's certificate, and a file with the front's certificate and private key; return the latter."""
    authority = trustme.CA(organization_name="Turnout local cloud")
    authority.cert_pem.write_to_path(str(folder / CA_FILE))
    certificate = folder / "front.pem"
    issued = authority.issue_cert(HOST, "127.0.0.1")
    issued.private_key_and_cert_chain_pem.write_to_path(str(certificate))
    # The file holds the private key.
    certificate.chmod(0o600)
    return certificate
