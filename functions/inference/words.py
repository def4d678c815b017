"""Word vectors: the vector of a word, the words nearest to it, and analogies.

An input is a word, or `{"positive": ["king", "woman"], "negative": ["man"]}`: the mean of unit vectors, those of
negative words turned round, as word2vec's own tools have it. What is looked up is the word exactly as it is given;
only where all words of the file are in lower case, and no word can be made of n-grams, one that is not found is looked
up in lower case too, and the answer says so by its `word`.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np
import onnxruntime as ort

from contracts.errors import RequestProblem, pointer
from contracts.manifest import Manifest
from contracts.prediction import Input, PredictRequest
from functions.inference.model import Outputs, Parameters
from functions.inference.session import open_session
from functions.inference.subwords import buckets_of
from functions.inference.tasks.reading import unknown, whole_number

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]
    Ids = NDArray[np.int64]

MODEL, TABLE, WORDS, FACTS = "model.onnx", "table.bin", "words.txt", "vectors.json"
NEAREST, MAX_NEAREST = 10, 1000
SIDES = ("positive", "negative")
# A word is composed of its n-grams, each of them a row that is read: no real word is longer.
MAX_WORD_CHARS = 256
# What one search keeps is at most about so many floats; words are searched for in batches of as many as that allows.
FLOATS = 1 << 22
# Of so many times the words asked for, a table of 8 bits reads the rows, to find the best in full precision.
OVERFETCH = 4
MAX_WORDS = 100


class Table(Protocol):
    """Rows of vectors, those of words before those of n-grams."""

    def vectors(self, ids: "Ids", weights: "Floats") -> "Floats":
        """Weighted sums of rows: [n, m] twice -> [n, width]."""
        ...

    def search(self, queries: "Floats", count: int) -> "tuple[Floats, Ids]":
        """The words nearest to each query by cosine, the nearest first: [n, count] scores and rows."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """A table within an ONNX graph, which searches only where it is asked for more than no words."""

    session: ort.InferenceSession
    width: int

    def vectors(self, ids: "Ids", weights: "Floats") -> "Floats":
        found: Floats = self._run(ids, weights, np.zeros((1, self.width), np.float32), 0)[0]
        return found

    def search(self, queries: "Floats", count: int) -> "tuple[Floats, Ids]":
        none = np.zeros((1, 1), np.int64)
        _, scores, ids = self._run(none, none.astype(np.float32), queries, count)
        return scores, ids

    def _run(self, ids: "Ids", weights: "Floats", queries: "Floats", count: int) -> list[Any]:
        feeds = {"ids": ids, "weights": weights, "queries": queries, "count": np.array([count])}
        found: list[Any] = self.session.run(["vectors", "scores", "nearest"], feeds)
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known of a file of vectors.

    With `buckets`, a word that is not in it is made of its n-grams; otherwise, with `lower`, which says that all of its
    words are in lower case, it is looked up in lower case.
    """

    width: int
    lower: bool = False
    shortest: int = 0
    longest: int = 0
    buckets: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class WordVectors:
    """Words by their row, over a table of their vectors."""

    table: Table
    facts: Facts
    words: Sequence[str]
    rows: Mapping[str, int] = field(repr=False)
    providers: tuple[str, ...] = ()

    @classmethod
    def open(cls, folder: Path, manifest: Manifest, *, threads: int, device: str) -> Self:
        session = open_session(folder / MODEL, threads=threads, device=device)
        facts = read_facts(folder)
        return cls.over(
            Graph(session=session, width=facts.width),
            folder,
            providers=tuple(session.get_providers()),
        )

    @classmethod
    def over(cls, table: Table, folder: Path, *, providers: tuple[str, ...] = ()) -> Self:
        """The same over any table of the words in that folder."""
        words = (folder / WORDS).read_text("utf-8").split("\n")
        rows = dict(zip(words, range(len(words)), strict=True))
        return cls(
            table=table, facts=read_facts(folder), words=words, rows=rows, providers=providers
        )

    def problems(self, request: PredictRequest) -> list[RequestProblem]:
        found = unknown(request.parameters, "nearest")
        found += whole_number({"nearest": 1, **request.parameters}, "nearest", 1, MAX_NEAREST)
        for i, value in enumerate(request.inputs):
            if detail := _wrong(value):
                found.append(RequestProblem(pointer=pointer("inputs", str(i)), detail=detail))
        return found

    def most(self, parameters: Parameters) -> int | None:
        """Words are of any length, so only the answer itself tells its size."""
        return None

    def outputs(self, request: PredictRequest) -> Outputs:
        """A vector for each word or analogy, or `found: false` with what is unknown; never a failed request."""
        asked = [_asked(value) for value in request.inputs]
        vectors = self._vectors({word for signed in asked for word, _ in signed})
        outputs = [
            self._output(value, signed, vectors)
            for value, signed in zip(request.inputs, asked, strict=True)
        ]
        wanted = [
            _Wanted(
                output=output,
                without=frozenset(self._known(word) for word, _ in signed),
                count=request.parameters.get("nearest", NEAREST),
            )
            for value, signed, output in zip(request.inputs, asked, outputs, strict=True)
            if output["found"] and ("nearest" in request.parameters or not isinstance(value, str))
        ]
        self._add_nearest(wanted)
        return outputs

    def _output(
        self, value: Input, signed: "Sequence[Signed]", vectors: "Mapping[str, Floats]"
    ) -> dict[str, Any]:
        output: dict[str, Any] = {}
        missing = [word for word, _ in signed if word not in vectors]
        output["found"] = not missing
        if missing:
            output["unknown"] = list(dict.fromkeys(missing))
        elif isinstance(value, str):
            output["embedding"] = vectors[value].tolist()
            if (word := self._known(value)) not in (value, None):
                output["word"] = word
        else:
            mean = sum(sign * unit(vectors[word]) for word, sign in signed) / len(signed)
            output["embedding"] = unit(np.asarray(mean, np.float32)).tolist()
        return {**output, "tokens": len(signed), "truncated": False}

    def _known(self, word: str) -> str | None:
        """The word as the file has it."""
        if word in self.rows:
            return word
        lower = word.lower()
        return lower if self.facts.lower and lower in self.rows else None

    def _vectors(self, words: set[str]) -> "dict[str, Floats]":
        """The vectors of those words that have one."""
        known = {word: self.rows[name] for word in words if (name := self._known(word)) is not None}
        found: dict[str, Floats] = {}
        if known:
            ids = np.array([*known.values()], np.int64)[:, None]
            vectors = self.table.vectors(ids, np.ones(ids.shape, np.float32))
            found.update(zip(known, vectors, strict=True))
        facts = self.facts
        if facts.buckets:
            for word in words - set(known):
                rows = buckets_of(word, facts.shortest, facts.longest, facts.buckets)
                if rows:
                    ids = np.array([rows], np.int64) + len(self.words)
                    weights = np.full(ids.shape, 1 / len(rows), np.float32)
                    found[word] = self.table.vectors(ids, weights)[0]
        return found

    def _add_nearest(self, wanted: "Sequence[_Wanted]") -> None:
        """Put the words nearest to what was found into each output.

        Those that need as many words are searched for together, so that no answer depends on its neighbours.
        """
        for need in dict.fromkeys(each.need for each in wanted):
            size = max(1, FLOATS // max(len(self.words), OVERFETCH * need * self.facts.width))
            group = [each for each in wanted if each.need == need]
            for start in range(0, len(group), size):
                self._search(group[start : start + size], min(need, len(self.words)))

    def _search(self, group: "Sequence[_Wanted]", need: int) -> None:
        queries = np.array([each.output["embedding"] for each in group], np.float32)
        scores, ids = self.table.search(unit(queries), need)
        for each, values, rows in zip(group, scores.tolist(), ids.tolist(), strict=True):
            pairs = zip((self.words[row] for row in rows), values, strict=True)
            found = [{"word": word, "score": s} for word, s in pairs if word not in each.without]
            each.output["nearest"] = found[: each.count]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    """An output that is to have the nearest words, without those it was made of."""

    output: dict[str, Any]
    without: frozenset[str | None]
    count: int

    @property
    def need(self) -> int:
        return self.count + len(self.without)


Signed = tuple[str, int]


def unit(vectors: "Floats") -> "Floats":
    """Each of the vectors at length 1; one of zeros stays as it is."""
    norms = np.linalg.norm(vectors, axis=-1, keepdims=True)
    found: Floats = (vectors / np.where(norms > 0, norms, 1)).astype(np.float32)
    return found


def read_facts(folder: Path) -> Facts:
    return Facts(**json.loads((folder / FACTS).read_text("utf-8")))


def _asked(value: Input) -> list[Signed]:
    """The words of an input, each with its sign."""
    if isinstance(value, str):
        return [(value, 1)]
    return [
        (word, sign)
        for side, sign in zip(SIDES, (1, -1), strict=True)
        for word in _listed(value.get(side, ()))
    ]


def _listed(value: Any) -> Sequence[str]:
    return [value] if isinstance(value, str) else value


def _wrong(value: Input) -> str:
    """What is wrong with the form of an input, or nothing."""
    if not isinstance(value, str):
        if not set(value) <= set(SIDES):
            return 'must be a word or an object {"positive": ["..."], "negative": ["..."]}'
        if not _asked(value):
            return "names no word"
        if len(_asked(value)) > MAX_WORDS:
            return f"names more than {MAX_WORDS} words"
    if any(len(word) > MAX_WORD_CHARS for word, _ in _asked(value)):
        return f"has a word of more than {MAX_WORD_CHARS} characters"
    return ""
