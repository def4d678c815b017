"""Small n-gram models as ARPA files: one of a few lines that a person can check, others drawn from a seed."""

import gzip
import random
from collections.abc import Mapping, Sequence
from pathlib import Path

Words = tuple[str, ...]
MARKS = ("<unk>", "<s>", "</s>")
LITTLE = """\
A comment, as some tools write it before the data.

\\data\\
ngram 1=6
ngram 2=5
ngram 3=2

\\1-grams:
-2.0\t<unk>
-99\t<s>\t-0.30
-1.2\t</s>
-0.7\tthe\t-0.20
-0.9\ttrain\t-0.10
-1.5\tlate\t-0.05

\\2-grams:
-0.5\t<s> the\t-0.15
-0.4\tthe train\t-0.25
-0.8\ttrain late
-0.6\tlate </s>
-0.3\tlate late\t0.10

\\3-grams:
-0.2\t<s> the train
-0.1\ttrain late </s>

\\end\\
"""


def little(path: Path, text: str = LITTLE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    packed = text.encode()
    path.write_bytes(gzip.compress(packed, mtime=0) if path.suffix == ".gz" else packed)
    return path


def drawn(path: Path, order: int, words: int, density: float, *, closed: bool = False) -> list[str]:
    """Write a model whose every n-gram continues one of the order below; its words, without the marks.

    In a `closed` one every n-gram's last words are an n-gram as well, which pruning may take from a model.
    """
    chance = random.Random(order)
    names = [f"w{i}" for i in range(words)]
    levels: list[list[Words]] = [[(word,) for word in (*MARKS, *names)]]
    for _ in range(order - 1):
        known = set(levels[-1])
        levels.append(
            [
                (*gram, word)
                for gram in levels[-1]
                for word in ("</s>", *names)
                if gram[-1] != "</s>" and chance.random() < density
                if not closed or (*gram[1:], word) in known
            ]
        )
    path.write_text(text_of(levels, chance), "utf-8")
    return names


def text_of(levels: Sequence[Sequence[Words]], chance: random.Random) -> str:
    lines = ["\\data\\", *(f"ngram {n}={len(level)}" for n, level in enumerate(levels, start=1))]
    for n, level in enumerate(levels, start=1):
        lines += ["", f"\\{n}-grams:"]
        for gram in level:
            weight = f"\t{chance.uniform(-1, 0.2):.4f}" if n < len(levels) else ""
            lines.append(f"{-chance.random() * 5:.5f}\t{' '.join(gram)}{weight}")
    return "\n".join([*lines, "", "\\end\\", ""])


def by_hand(path: Path) -> Mapping[Words, tuple[float, float]]:
    """Every n-gram's log-probability and backoff, by a few lines that know nothing of the reader."""
    found: dict[Words, tuple[float, float]] = {}
    n = 0
    for line in path.read_text("utf-8").splitlines():
        if line.endswith("-grams:"):
            n = int(line[1:2])
        elif n and line and not line.startswith("\\"):
            parts = line.split()
            found[tuple(parts[1 : n + 1])] = (float(parts[0]), float([*parts, "0"][n + 1]))
    return found


def log10(known: Mapping[Words, tuple[float, float]], gram: Words) -> float:
    """The last word's log-probability after the others."""
    if gram in known:
        return known[gram][0]
    before = known.get(gram[:-1], (0.0, 0.0))[1]
    return before + log10(known, gram[1:])
