"""Word vectors: tables of 32 or 8 bits that return vectors and nearest words.

The reference is the file's own table, searched by numpy, behind the code that serves every candidate.
"""

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from build.errors import SourceError
from build.families.family import Family, Rows
from build.families.word_vector_graph import inverse_norms, row_chunks, write_graph
from build.reading.outputs import Reference
from build.recipes.recipe import NamedRecipe
from build.sources.source import TableSource, Unusable
from build.sources.vectors.source import load
from build.sources.vectors.table import Floats, Vectors
from build.workspace.progress import Notify, silent
from contracts.prediction import PredictRequest
from contracts.problems import Code
from contracts.tasks import Tier
from functions.inference.words.word_vectors import CONFIG, WORDS, VectorConfig, WordVectors

VECTORS = "vectors.npy"
FULL = NamedRecipe(name="fp32")
SMALLER = NamedRecipe(name="int8 rows", precision="int8")


def prepare(source: TableSource, folder: Path, notify: Notify) -> None:
    """Write the words and the vectors, as one array; raises SourceError with every problem in the file."""
    notify("reading the vectors")
    try:
        vectors = load(source.path)
    except Unusable as error:
        raise SourceError([p.within(source.path) for p in error.problems]) from error
    np.save(folder / VECTORS, vectors.table)
    (folder / WORDS).write_text("\n".join(vectors.words), "utf-8", newline="")
    (folder / CONFIG).write_text(json.dumps(asdict(_config(vectors))) + "\n", "utf-8")


def _config(vectors: Vectors) -> VectorConfig:
    return VectorConfig(
        width=vectors.table.shape[1],
        # A file without a capital letter was trained on lower-cased text, so words of requests are lower-cased for it.
        lower=not vectors.buckets and all(word == word.lower() for word in vectors.words),
        shortest=vectors.shortest,
        longest=vectors.longest,
        buckets=vectors.buckets,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Array:
    """The file's vectors in float32, which every candidate is compared with; `words` is the number of its words."""

    table: Floats
    words: int
    inverse_norms: Floats

    def vectors(self, ids: NDArray[np.int64], weights: Floats) -> Floats:
        """Return the weighted sums [n, width] of rows, by ids and weights [n, m]."""
        sums: Floats = (self.table[ids] * weights[:, :, None]).sum(axis=1)
        return sums

    def search(self, queries: Floats, count: int) -> tuple[Floats, NDArray[np.int64]]:
        """Return the highest scores [q, count], best first, and the ids of their words, for queries [q, width]."""
        # Partitioned before it is sorted: of hundreds of thousands of scores, few are wanted.
        scores = (queries @ self.table[: self.words].T) * self.inverse_norms
        ids = np.argpartition(-scores, count - 1, axis=1)[:, :count]
        best = np.take_along_axis(scores, ids, axis=1)
        order = np.argsort(-best, axis=1, kind="stable")
        return np.take_along_axis(best, order, axis=1), np.take_along_axis(ids, order, axis=1)


def open_reference(prepared: Path) -> WordVectors:
    table = np.load(prepared / VECTORS, mmap_mode="r")
    words = count_words(prepared)
    inverse = np.concatenate([inverse_norms(part) for _, part in row_chunks(table[:words])])
    return WordVectors.over(Array(table=table, words=words, inverse_norms=inverse), prepared)


def reference(
    source: TableSource, rows: Rows, prepared: Path, notify: Notify = silent
) -> Reference:
    """Return the outputs for all rows, each word searched once; raises SourceError if the file has none of them."""
    words = tuple(dict.fromkeys(word for row in rows for word in row.request.inputs))
    # The parameters of one row are those of all (`build.tasks.word_vectors`).
    request = PredictRequest(inputs=words, parameters=rows[0].request.parameters)
    outputs = dict(zip(words, open_reference(prepared).outputs(request), strict=True))
    if not any(output["found"] for output in outputs.values()):
        message = "has none of the words under `eval`; give words that it has"
        raise SourceError.about(source.path, Code.ROWS_INVALID, message)
    return Reference(outputs=[[outputs[word] for word in row.request.inputs] for row in rows])


def recipes(source: TableSource, tier: Tier, quantize: bool) -> Sequence[NamedRecipe]:
    return (FULL, SMALLER) if tier is Tier.CPU and quantize else (FULL,)


def make(
    recipe: NamedRecipe, source: TableSource, prepared: Path, rows: Rows, folder: Path
) -> None:
    table = np.load(prepared / VECTORS, mmap_mode="r")
    for name in (WORDS, CONFIG):
        shutil.copyfile(prepared / name, folder / name)
    write_graph(table, count_words(folder), 8 if recipe == SMALLER else 0, folder)


def count_words(folder: Path) -> int:
    return (folder / WORDS).read_bytes().count(b"\n") + 1


FAMILY = Family(prepare=prepare, reference=reference, recipes=recipes, make=make)
