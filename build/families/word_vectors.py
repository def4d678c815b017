"""Word vectors: read from their file once, then tables of 32 or 8 bits that answer vectors and nearest words.

The original is the file itself, by plain numpy, through the code that serves it.
"""

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from build.errors import SourceError
from build.evaluation.metrics import Outputs
from build.families.family import Family, Rows
from build.families.word_vector_graph import inverse_norms, parts, write_graph
from build.recipes.recipe import Recipe
from build.sources.source import TableSource, Unusable
from build.sources.vectors.source import load
from build.sources.vectors.table import Floats, Vectors
from build.workspace.progress import Tell, silent
from contracts.prediction import PredictRequest
from contracts.problems import Code
from contracts.tasks import Tier
from functions.inference.words import CONFIG, WORDS, VectorConfig, WordVectors

VECTORS = "vectors.npy"
FULL, SMALLER = Recipe(name="fp32"), Recipe(name="int8 rows", bits=8)


def prepare(source: TableSource, folder: Path, tell: Tell) -> None:
    """The file's words, and its vectors as one array; raises SourceError with the rows that are wrong."""
    tell("reading the vectors")
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
        lower=not vectors.buckets and all(word == word.lower() for word in vectors.words),
        shortest=vectors.shortest,
        longest=vectors.longest,
        buckets=vectors.buckets,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Array:
    """The file's vectors as they are: what every candidate is compared with."""

    table: Floats
    words: int
    inverse_norms: Floats

    def vectors(self, ids: NDArray[np.int64], weights: Floats) -> Floats:
        sums: Floats = (self.table[ids] * weights[:, :, None]).sum(axis=1)
        return sums

    def search(self, queries: Floats, count: int) -> tuple[Floats, NDArray[np.int64]]:
        scores = (queries @ self.table[: self.words].T) * self.inverse_norms
        ids = np.argpartition(-scores, count - 1, axis=1)[:, :count]
        best = np.take_along_axis(scores, ids, axis=1)
        order = np.argsort(-best, axis=1, kind="stable")
        return np.take_along_axis(best, order, axis=1), np.take_along_axis(ids, order, axis=1)


def open_reference(prepared: Path) -> WordVectors:
    table = np.load(prepared / VECTORS, mmap_mode="r")
    words = count_words(prepared)
    inverse = np.concatenate([inverse_norms(part) for _, part in parts(table[:words])])
    return WordVectors.over(Array(table=table, words=words, inverse_norms=inverse), prepared)


def reference(
    source: TableSource, rows: Rows, prepared: Path, tell: Tell = silent
) -> Sequence[Outputs]:
    """All words at once, each of them once; raises SourceError where the file has none of them."""
    asked = list(dict.fromkeys(word for row in rows for word in row.request.inputs))
    request = PredictRequest(inputs=tuple(asked), parameters=rows[0].request.parameters)
    found = dict(zip(asked, open_reference(prepared).outputs(request), strict=True))
    if not any(output["found"] for output in found.values()):
        message = "has none of the words under `eval`; give words that it has"
        raise SourceError.about(source.path, Code.ROWS_INVALID, message)
    return [[found[word] for word in row.request.inputs] for row in rows]


def recipes(source: TableSource, tier: Tier, quantize: bool) -> Sequence[Recipe]:
    return (FULL, SMALLER) if tier is Tier.CPU and quantize else (FULL,)


def make(recipe: Recipe, source: TableSource, prepared: Path, rows: Rows, folder: Path) -> None:
    table = np.load(prepared / VECTORS, mmap_mode="r")
    for name in (WORDS, CONFIG):
        shutil.copyfile(prepared / name, folder / name)
    write_graph(table, count_words(folder), recipe.bits, folder)


def count_words(folder: Path) -> int:
    return (folder / WORDS).read_text("utf-8").count("\n") + 1


FAMILY = Family(prepare=prepare, original=reference, recipes=recipes, make=make)
