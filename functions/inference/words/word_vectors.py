"""Word vectors: the vector of a word, its nearest neighbours, and analogies.

An input is a word, or `{"positive": ["king", "woman"], "negative": ["man"]}`: the mean of unit vectors, those of
negative words with their sign changed, as in word2vec and gensim. A word is looked up exactly as it is given. Only if
all words of the file are in lower case and no vector can be made of n-grams, an unknown word is looked up in lower
case as well, and the output names that one as its `word`.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np
import onnxruntime as ort

from contracts.api.json_schema import matches
from contracts.api.task_api import input_problems, parameter_problems
from contracts.api.word_vectors import API, MAX_WORD_CHARS, MAX_WORDS, NEAREST, NEGATIVE, POSITIVE
from contracts.http_errors import RequestProblem, pointer
from contracts.manifest import MODEL, Manifest
from contracts.prediction import Input, PredictRequest
from functions.inference.model import Outputs, Parameters
from functions.inference.session import open_session
from functions.inference.words.character_ngrams import buckets_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]
    Ids = NDArray[np.int64]

TABLE, WORDS, CONFIG = "table.bin", "words.txt", "vectors.json"
SIDES = {POSITIVE: 1, NEGATIVE: -1}
# Memory limit of one search, in floats (16 MB); queries are searched for in batches that stay below it.
MAX_SEARCH_FLOATS = 1 << 22
# An 8-bit search fetches this many times the words wanted and ranks them again in float32.
OVERFETCH = 4


class Table(Protocol):
    """A matrix of vectors: a row for each word, then one for each bucket of n-grams."""

    def vectors(self, ids: "Ids", weights: "Floats") -> "Floats":
        """Return weighted sums of rows: [n, m] twice -> [n, width]."""
        ...

    def search(self, queries: "Floats", count: int) -> "tuple[Floats, Ids]":
        """Return the words nearest to each query by cosine, nearest first: [n, count] scores and rows."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """A table in an ONNX graph, which skips the search where `count` is 0."""

    session: ort.InferenceSession
    width: int

    def vectors(self, ids: "Ids", weights: "Floats") -> "Floats":
        vectors: Floats = self._run(ids, weights, np.zeros((1, self.width), np.float32), 0)[0]
        return vectors

    def search(self, queries: "Floats", count: int) -> "tuple[Floats, Ids]":
        none = np.zeros((1, 1), np.int64)
        _, scores, ids = self._run(none, none.astype(np.float32), queries, count)
        return scores, ids

    def _run(self, ids: "Ids", weights: "Floats", queries: "Floats", count: int) -> list[Any]:
        feeds = {"ids": ids, "weights": weights, "queries": queries, "count": np.array([count])}
        outputs: list[Any] = self.session.run(["vectors", "scores", "nearest"], feeds)
        return outputs


@dataclass(frozen=True, slots=True, kw_only=True)
class VectorConfig:
    """The properties of a file of vectors.

    With `buckets`, the vector of an unknown word is the mean of its n-grams of `shortest` to `longest` characters.
    `lower` says that all words are in lower case.
    """

    width: int
    lower: bool = False
    shortest: int = 0
    longest: int = 0
    buckets: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class WordVectors:
    """A vocabulary over a table of vectors; `rows` is the row of each word."""

    table: Table
    config: VectorConfig
    words: Sequence[str]
    rows: Mapping[str, int] = field(repr=False)
    providers: tuple[str, ...] = ()

    @classmethod
    def open(cls, folder: Path, manifest: Manifest, *, threads: int, device: str) -> Self:
        session = open_session(folder / MODEL, threads=threads, device=device)
        config = read_config(folder)
        return cls.over(
            Graph(session=session, width=config.width),
            folder,
            providers=tuple(session.get_providers()),
        )

    @classmethod
    def over(cls, table: Table, folder: Path, *, providers: tuple[str, ...] = ()) -> Self:
        """Return word vectors over any table, such as the reference's, of the words in that folder."""
        # Neither `read_text` nor `splitlines`: words may hold "\r" and U+0085, at which these end lines too.
        words = (folder / WORDS).read_bytes().decode("utf-8").split("\n")
        rows = dict(zip(words, range(len(words)), strict=True))
        return cls(
            table=table, config=read_config(folder), words=words, rows=rows, providers=providers
        )

    def problems(self, request: PredictRequest) -> list[RequestProblem]:
        return [
            *input_problems(request.inputs, API.input),
            *_length_problems(request.inputs),
            *parameter_problems(request.parameters, API.parameters),
        ]

    def max_outputs(self, parameters: Parameters) -> int | None:
        """Return None: words have any length, so the size of an answer depends on them."""
        return None

    def outputs(self, request: PredictRequest) -> Outputs:
        """Return a vector for each word or analogy; an unknown word is reported in its output and fails nothing."""
        listed = NEAREST.name in request.parameters
        terms = [_terms(value) for value in request.inputs]
        vectors = self._vectors({word for own in terms for word, _ in own})
        outputs = [
            self._output(value, own, vectors)
            for value, own in zip(request.inputs, terms, strict=True)
        ]
        searches = [
            _Search(
                output=output,
                # As in gensim's `most_similar`, the words of an input are not among its nearest.
                excluded=frozenset(self._spelling(word) for word, _ in own),
                count=NEAREST.value(request.parameters),
            )
            for value, own, output in zip(request.inputs, terms, outputs, strict=True)
            if output["found"] and (listed or not isinstance(value, str))
        ]
        self._add_nearest(searches)
        return outputs

    def _output(
        self, value: Input, terms: "Sequence[Term]", vectors: "Mapping[str, Floats]"
    ) -> dict[str, Any]:
        output: dict[str, Any] = {}
        missing = [word for word, _ in terms if word not in vectors]
        output["found"] = not missing
        if missing:
            output["unknown"] = list(dict.fromkeys(missing))
        elif isinstance(value, str):
            output["embedding"] = vectors[value].tolist()
            if (word := self._spelling(value)) not in (value, None):
                output["word"] = word
        else:
            mean = sum(sign * unit(vectors[word]) for word, sign in terms) / len(terms)
            output["embedding"] = unit(np.asarray(mean, np.float32)).tolist()
        return {**output, "tokens": len(terms), "truncated": False}

    def _spelling(self, word: str) -> str | None:
        """Return the word as the vocabulary spells it; None if it has no row."""
        if word in self.rows:
            return word
        lower = word.lower()
        return lower if self.config.lower and lower in self.rows else None

    def _vectors(self, words: set[str]) -> "dict[str, Floats]":
        """Return the vectors of those words that have one."""
        known = {w: self.rows[name] for w in words if (name := self._spelling(w)) is not None}
        vectors: dict[str, Floats] = {}
        if known:
            ids = np.array([*known.values()], np.int64)[:, None]
            rows = self.table.vectors(ids, np.ones(ids.shape, np.float32))
            vectors.update(zip(known, rows, strict=True))
        config = self.config
        if config.buckets:
            for word in words - set(known):
                buckets = buckets_of(word, config.shortest, config.longest, config.buckets)
                if buckets:
                    # In the table, the rows of buckets follow those of the words.
                    ids = np.array([buckets], np.int64) + len(self.words)
                    weights = np.full(ids.shape, 1 / len(buckets), np.float32)
                    vectors[word] = self.table.vectors(ids, weights)[0]
        return vectors

    def _add_nearest(self, searches: "Sequence[_Search]") -> None:
        """Add the nearest words to each output.

        Only searches for the same number of words share a batch, so that no answer depends on its neighbours.
        """
        # The number of fetched words decides which of them an 8-bit search ranks again.
        for fetched in dict.fromkeys(search.fetched for search in searches):
            floats = max(len(self.words), OVERFETCH * fetched * self.config.width)
            size = max(1, MAX_SEARCH_FLOATS // floats)
            group = [search for search in searches if search.fetched == fetched]
            for start in range(0, len(group), size):
                self._search(group[start : start + size], min(fetched, len(self.words)))

    def _search(self, group: "Sequence[_Search]", fetched: int) -> None:
        queries = np.array([search.output["embedding"] for search in group], np.float32)
        scores, ids = self.table.search(unit(queries), fetched)
        for search, values, rows in zip(group, scores.tolist(), ids.tolist(), strict=True):
            pairs = zip((self.words[row] for row in rows), values, strict=True)
            nearest = [{"word": w, "score": s} for w, s in pairs if w not in search.excluded]
            search.output["nearest"] = nearest[: search.count]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Search:
    """A search for the `count` words nearest to an output, other than the words of its own input."""

    output: dict[str, Any]
    excluded: frozenset[str | None]
    count: int

    @property
    def fetched(self) -> int:
        """Return how many words to fetch, so that enough are left when the excluded ones are among them."""
        return self.count + len(self.excluded)


# A word of an input and its sign.
Term = tuple[str, int]


def unit(vectors: "Floats") -> "Floats":
    """Scale each vector to length 1; a vector of zeros stays as it is."""
    norms = np.linalg.norm(vectors, axis=-1, keepdims=True)
    scaled: Floats = (vectors / np.where(norms > 0, norms, 1)).astype(np.float32)
    return scaled


def read_config(folder: Path) -> VectorConfig:
    return VectorConfig(**json.loads((folder / CONFIG).read_text("utf-8")))


def _terms(value: Input) -> list[Term]:
    if isinstance(value, str):
        return [(value, 1)]
    return [(word, sign) for side, sign in SIDES.items() for word in _listed(value.get(side, ()))]


def _listed(value: Any) -> Sequence[str]:
    return [value] if isinstance(value, str) else value


def _length_problems(inputs: Sequence[Input]) -> list[RequestProblem]:
    """Return a problem for each input of the right form with no word, too many words, or a word that is too long."""
    return [
        RequestProblem(pointer=pointer("inputs", str(i)), detail=detail)
        for i, value in enumerate(inputs)
        if matches(value, API.input.schema)
        and (detail := _length_problem([word for word, _ in _terms(value)]))
    ]


def _length_problem(words: Sequence[str]) -> str | None:
    if not words:
        return "names no word"
    if len(words) > MAX_WORDS:
        return f"names more than {MAX_WORDS} words"
    if any(len(word) > MAX_WORD_CHARS for word in words):
        return f"has a word of more than {MAX_WORD_CHARS} characters"
    return None
