"""The zip application of an edge copy: the endpoint's code and a runner, with the same bytes from the same code."""

import io
import zipfile
from pathlib import Path

from build.workspace.checkout import ROOT

RUNNER = Path(__file__).with_name("runner.py")
# The modules of `contracts` that inference and the runner import; the others describe a deployment.
CONTRACTS = (
    "errors",
    "http_errors",
    "limits",
    "manifest",
    "prediction",
    "problems",
    "request_body",
    "streaming",
    "tasks",
)


def archive() -> bytes:
    """Return a zip application (PEP 441), which Python runs as it is.

    Entries are sorted, dated 1980 and stored: compressed bytes would differ from one version of zlib to the next.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as file:
        for name, path in sorted(sources().items()):
            entry = zipfile.ZipInfo(name)
            entry.create_system = 3  # Unix, on whatever system it is made
            # The upper 16 bits are the file's mode in Unix.
            entry.external_attr = 0o644 << 16
            file.writestr(entry, path.read_bytes())
    return buffer.getvalue()


def sources() -> dict[str, Path]:
    """Return the archive's files by their names in it."""
    modules = [
        ROOT / "contracts/__init__.py",
        *(ROOT / f"contracts/{name}.py" for name in CONTRACTS),
        *(ROOT / "contracts/api").glob("*.py"),
        ROOT / "functions/__init__.py",
        *(ROOT / "functions/inference").rglob("*.py"),
    ]
    code = {path.relative_to(ROOT).as_posix(): path for path in modules}
    # Who passes the code on has to pass its licence on (Apache-2.0, section 4).
    return {"__main__.py": RUNNER, "LICENSE": ROOT / "LICENSE", **code}
