"""An ARPA file as a source: what it says of itself, the graph made of it, and what the text itself answers."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import onnx

from build.errors import SourceError
from build.families.ngram_graph import NATS, graph_of, tokenizer_of
from build.sources.arpa import parser
from build.sources.source import Unusable

Words = tuple[str, ...]


def prepare(path: Path, graph: Path, tokenizer: Path) -> None:
    """Write the graph and the tokenizer of the file; raises SourceError with every mistake in it."""
    try:
        model = parser.read(path)
    except Unusable as error:
        raise SourceError([p.within(path) for p in error.problems]) from error
    onnx.save(graph_of(model), graph)
    tokenizer_of(model.words).save(str(tokenizer))


def scorer_of(path: Path, texts: Iterable[Words]) -> Callable[[Words], list[float]]:
    """What gives of one of the texts, or a part of one, the log-probabilities of all words but the first, in nats.

    By the recursion in 64-bit numbers, straight from the file, of which no more is kept than the texts ask for.
    """
    order = parser.read_words(path)[1]
    wanted = {gram for words in texts for gram in _grams(words, order)}
    known = {e.words: (e.log10, e.backoff) for e in parser.entries(path) if e.words in wanted}

    def scores(words: Words) -> list[float]:
        return [
            _log10(known, words[max(0, i - order + 1) : i], words[i]) * float(NATS)
            for i in range(1, len(words))
        ]

    return scores


def _grams(words: Words, order: int) -> Iterable[Words]:
    return (words[i : i + n] for n in range(1, order + 1) for i in range(len(words) - n + 1))


def _log10(known: Mapping[Words, tuple[float, float]], before: Words, word: str) -> float:
    """The word's log-probability after those before it (Katz 1987)."""
    found = known.get((*before, word))
    if found:
        return found[0]
    return known.get(before, (0.0, 0.0))[1] + _log10(known, before[1:], word)
