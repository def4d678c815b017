"""The rows that the sample makes for each task: in the task's own form, and without right answers.

They show that an artefact answers as its reference does on plain texts. They say nothing of the user's texts.
"""

import json
import random
import string
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from build.samples.texts import SampleText, sample_texts
from contracts.api.word_vectors import MAX_WORD_CHARS
from contracts.tasks import Task

# Labels to choose from in a row, and texts to rank: a model is run once for each of them.
CHOICES = 3
# A sample of fewer rows proves too little, so that texts of other languages are taken too.
MIN_ROWS = 50
WORDS = 200
PUNCTUATION = string.punctuation + "«»„“”‘’¿¡。、？，।؟،"

SampleRow = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleFacts:
    """The facts of a model that its sample rows depend on.

    `mask_token` is what fills a mask's place; `pairs` says that a classifier compares two texts; `words` are the words
    of a model that knows no others, in the order of its file.
    """

    mask_token: str = ""
    pairs: bool = False
    words: tuple[str, ...] = ()


def sample_rows(
    task: Task, facts: SampleFacts, languages: Sequence[str] = ()
) -> tuple[SampleRow, ...]:
    """Return the rows of a task, of the texts in those languages where there are enough of them, or else of all."""
    spoken = [each for each in sample_texts() if each.language in languages]
    texts = spoken if len(spoken) >= MIN_ROWS else sample_texts()
    return tuple(_ROWS.get(task, _plain)(texts, facts))


def as_lines(rows: Sequence[SampleRow]) -> str:
    """Return the rows as a file of JSON lines."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


Texts = Sequence[SampleText]


def _plain(texts: Texts, facts: SampleFacts) -> Iterator[SampleRow]:
    return ({"text": each.text} for each in texts)


def _classified(texts: Texts, facts: SampleFacts) -> Iterator[SampleRow]:
    """Yield the texts, or premises with hypotheses, of which about half name another topic than the text's."""
    if not facts.pairs:
        yield from _plain(texts, facts)
        return
    for each in texts:
        topic = _topics(each)[_turn(each) % 2]
        yield {"text": each.text, "text_pair": f"This text is about {topic}."}


def _topics(each: SampleText) -> list[str]:
    """Return the text's own topic, and others."""
    topics = sorted({text.topic for text in sample_texts()})
    start = topics.index(each.topic)
    return [topics[(start + i) % len(topics)] for i in range(CHOICES)]


def _turn(each: SampleText) -> int:
    """Return a number by which texts take turns: their own, so that a row is the same in every selection of texts."""
    return len(each.text)


def _zero_shot(texts: Texts, facts: SampleFacts) -> Iterator[SampleRow]:
    return ({"text": each.text, "candidate_labels": sorted(_topics(each))} for each in texts)


def _ranked(texts: Texts, facts: SampleFacts) -> Iterator[SampleRow]:
    """Yield questions, each with the text that answers it and the next ones of its language."""
    for i, each in enumerate(texts):
        same = [t.text for t in (*texts[i:], *texts[:i]) if t.language == each.language]
        # The right one has no fixed place, so that an order that ignores the query shows.
        others, place = same[1:CHOICES], _turn(each) % CHOICES
        yield {"query": each.question, "texts": [*others[:place], same[0], *others[place:]]}


def _questions(texts: Texts, facts: SampleFacts) -> Iterator[SampleRow]:
    return ({"question": each.question, "context": each.text} for each in texts)


def _masked(texts: Texts, facts: SampleFacts) -> Iterator[SampleRow]:
    return ({"text": _with_mask(each.text, facts.mask_token)} for each in texts)


def _with_mask(text: str, mask: str) -> str:
    """Return the text with its middle word replaced, or its middle character where no spaces divide it."""
    words = text.split(" ")
    if len(words) == 1:
        middle = len(text) // 2
        return f"{text[:middle]}{mask}{text[middle + 1 :]}"
    # French puts marks of punctuation between spaces.
    middle = next(i for i in range(len(words) // 2, len(words)) if words[i].strip(PUNCTUATION))
    word = words[middle].strip(PUNCTUATION)
    return " ".join([*words[:middle], words[middle].replace(word, mask, 1), *words[middle + 1 :]])


def _begun(texts: Texts, facts: SampleFacts) -> Iterator[SampleRow]:
    """Yield the beginnings of the texts as prompts."""
    for each in texts:
        words = each.text.split(" ")
        half = " ".join(words[: (len(words) + 1) // 2]) if len(words) > 1 else ""
        yield {"text": half or each.text[: len(each.text) // 2]}


def _scored(texts: Texts, facts: SampleFacts) -> Iterator[SampleRow]:
    """Yield the texts; for a model of few words, those texts that it knows, or else texts of its own words."""
    if not facts.words:
        yield from _plain(texts, facts)
        return
    known = set(facts.words)
    # n-grams are counted in lower case and without punctuation more often than not.
    plain = [" ".join(w.strip(PUNCTUATION) for w in each.text.lower().split()) for each in texts]
    forms = ([each.text for each in texts], [" ".join(text.split()) for text in plain])
    best = max(([t for t in form if _share(t, known) >= 0.5] for form in forms), key=len)
    yield from (
        {"text": text} for text in (best if len(best) >= MIN_ROWS else _made_of(facts.words))
    )


def _share(text: str, known: set[str]) -> float:
    words = text.split()
    return sum(word in known for word in words) / len(words)


def _made_of(words: Sequence[str]) -> list[str]:
    """Return texts of two to ten words from a seed, the same ones whenever they are made."""
    # `random()` alone is promised to give the same numbers in every version of Python.
    draw = random.Random(0).random
    return [
        " ".join(words[int(draw() * len(words))] for _ in range(2 + i % 9)) for i in range(WORDS)
    ]


def _words(texts: Texts, facts: SampleFacts) -> Iterator[SampleRow]:
    fitting = (word for word in facts.words if word.strip() and len(word) <= MAX_WORD_CHARS)
    return ({"text": word} for word, _ in zip(fitting, range(WORDS), strict=False))


# Of every other task, a row is a text.
_ROWS: Mapping[Task, Callable[[Texts, SampleFacts], Iterator[SampleRow]]] = {
    Task.TEXT_CLASSIFICATION: _classified,
    Task.ZERO_SHOT_CLASSIFICATION: _zero_shot,
    Task.TEXT_RANKING: _ranked,
    Task.FILL_MASK: _masked,
    Task.QUESTION_ANSWERING: _questions,
    Task.TEXT_GENERATION: _begun,
    Task.LANGUAGE_MODEL_SCORING: _scored,
    Task.WORD_VECTORS: _words,
}
