"""Seconds from process start to the first answer of a large artefact on a slow disk, by how much of it is checked.

`python -m benchmarks.limited.slow_disk` makes word vectors of 2 GB, and reads them at 150 MB/s with nothing of them in
the page cache; needs root, and control groups of version 1.
"""

import argparse
import os
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

from benchmarks.limited.control_group import group, run_in, slow_disk

WIDTH = 1024
HASHED, SIZES = "every byte hashed", "sizes checked"


def write_artefact(folder: Path, words: int) -> None:
    """Seal random vectors of so many words, as a build seals them in full precision."""
    import json

    import numpy as np

    from build.families.word_vector_graph import write_graph
    from contracts.manifest import MANIFEST, Manifest, sealed_files
    from contracts.tasks import Task, Tier
    from functions.inference.words.word_vectors import CONFIG, WORDS

    random = np.random.default_rng(0)
    path = folder / "table.npy"
    table = np.lib.format.open_memmap(path, "w+", np.float32, (words, WIDTH))
    for start in range(0, words, 10_000):
        table[start : start + 10_000] = random.standard_normal((10_000, WIDTH), np.float32)
    (folder / WORDS).write_text("\n".join(f"w{number}" for number in range(words)), "utf-8")
    (folder / CONFIG).write_text(json.dumps({"width": WIDTH}), "utf-8")
    write_graph(table, words, 0, folder)
    del table
    path.unlink()
    manifest = Manifest(
        model="large",
        task=Task.WORD_VECTORS,
        tier=Tier.CPU,
        precision="fp32",
        recipe="fp32",
        max_tokens=1,
        toolchain={},
        files=sealed_files(folder, sorted(file.name for file in folder.iterdir())),
    )
    (folder / MANIFEST).write_text(manifest.sealed().to_json(), "utf-8")


def forget(folder: Path) -> None:
    """Drop the files of a folder from the page cache."""
    for path in folder.iterdir():
        file = os.open(path, os.O_RDONLY)
        os.fsync(file)
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(file)


def answer(folder: Path, how: str) -> None:
    """Load the artefact and print the seconds to its first answer: the vector of one word."""
    start = time.perf_counter()
    from contracts.manifest import verify

    # The function did so beside its imports while it hashed every byte.
    hashing = threading.Thread(target=verify, args=(folder,))
    if how == HASHED:
        hashing.start()
    os.environ["TURNOUT_MODEL_DIR"] = str(folder)
    from functions.inference.engine import Engine  # noqa: F401

    if how == HASHED:
        hashing.join()
    from functions.cpu.handler import handler

    reply = handler({"inputs": ["w7"]}, None)
    if len(reply["outputs"][0]["embedding"]) != WIDTH:
        sys.exit(f"the answer is {reply!r:.200}")
    print(time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.limited.slow_disk", description=__doc__
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--words", type=int, default=500_000)
    parser.add_argument("--mb-per-second", type=int, default=150)
    parser.add_argument("--answer", nargs=2, metavar=("FOLDER", "HOW"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.answer:
        answer(Path(given.answer[0]), given.answer[1])
        return
    with tempfile.TemporaryDirectory(prefix="large-", dir=Path.cwd()) as name:
        folder = Path(name)
        write_artefact(folder, given.words)
        size = sum(path.stat().st_size for path in folder.iterdir())
        took: dict[str, list[float]] = {HASHED: [], SIZES: []}
        with group("blkio", slow_disk(folder, given.mb_per_second * 10**6)) as slow:
            for _ in range(given.rounds):
                for how, seconds in took.items():
                    forget(folder)
                    command = [sys.executable, "-m", "benchmarks.limited.slow_disk"]
                    seconds.append(float(run_in([slow], [*command, "--answer", name, how])))
    for how, seconds in took.items():
        print(
            f"{size / 1e9:.2f} GB at {given.mb_per_second} MB/s, {how}: median of {given.rounds} "
            f"{statistics.median(seconds):.2f} s ({min(seconds):.2f} to {max(seconds):.2f})"
        )


if __name__ == "__main__":
    main()
