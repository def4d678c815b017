"""An ARPA file prepared for a build, and the reference: the recursion straight from the file."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import onnx

from build.errors import SourceError
from build.families.ngram_graph import NATS, ngram_graph, tokenizer_of
from build.sources.arpa import parser
from build.sources.source import Unusable

Words = tuple[str, ...]


def prepare(path: Path, graph: Path, tokenizer: Path) -> None:
    """Write the graph and the tokenizer of the file; raises SourceError with every problem in it."""
    try:
        model = parser.read(path)
    except Unusable as error:
        raise SourceError([p.within(path) for p in error.problems]) from error
    onnx.save(ngram_graph(model), graph)
    tokenizer_of(model.words).save(str(tokenizer))


def recursion(path: Path, texts: Iterable[Words]) -> Callable[[Words], list[float]]:
    """Return a function from a text to the log-probabilities of all its words but the first, in nats and float64.

    It takes the texts given here and parts of them: no other n-grams of the file are kept in memory.
    """
    order = parser.read_words(path)[1]
    needed = {gram for words in texts for gram in _grams(words, order)}
    known = {e.words: (e.log10, e.backoff) for e in parser.entries(path) if e.words in needed}

    def scores(words: Words) -> list[float]:
        return [
            _log10(known, words[max(0, i - order + 1) : i], words[i]) * float(NATS)
            for i in range(1, len(words))
        ]

    return scores


def _grams(words: Words, order: int) -> Iterable[Words]:
    return (words[i : i + n] for n in range(1, order + 1) for i in range(len(words) - n + 1))


def _log10(known: Mapping[Words, tuple[float, float]], before: Words, word: str) -> float:
    """Return the word's log-probability after those before it, by the recursion of Katz 1987."""
    if entry := known.get((*before, word)):
        return entry[0]
    # A history that the model does not know has no weight, so backing off from it costs nothing.
    return known.get(before, (0.0, 0.0))[1] + _log10(known, before[1:], word)
