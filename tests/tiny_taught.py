"""Tiny models that were taught a rule, or lines by heart: few of their answers are near to a tie.

Of weights from a seed every twentieth answer is hardly ahead of the next, which no trained model's are, and so says
little of what rounding costs.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contracts.tasks import Task
from tests.tiny_bert import WORDS, headed
from tests.tiny_decoders import LINES

Row = dict[str, Any]
Feeds = dict[str, Any]
PRAISE = ("lovely", "great", "fine")
# What is left out where a text has that topic.
TOPICS = {"film": "new", "book": "old", "music": "big"}
MOODS = ("awful", "dull")
TAGS = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")
NLI = ("contradiction", "neutral", "entailment")
# Words that no rule speaks of.
REST = sorted(set(WORDS) - {*PRAISE, *TOPICS, *TOPICS.values(), *MOODS, "end"})
TOKENS, ROWS_A_STEP, IGNORED = 24, 32, -100


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """A head of BERT's and what it is taught: rows, and the right answers to them as transformers takes them."""

    architecture: str
    labels: tuple[str, ...] = ()
    row: Callable[[random.Random], Row]
    feeds: Callable[[Any, Sequence[Row]], Feeds]
    steps: int = 80


def _mixed(draw: random.Random, *words: str, rest: int = 5) -> str:
    found = [*words, *draw.choices(REST, k=draw.randint(1, rest))]
    draw.shuffle(found)
    return " ".join(found)


def _encoded(tokenizer: Any, *texts: Sequence[str]) -> Feeds:
    return dict(
        tokenizer(*map(list, texts), padding="max_length", max_length=TOKENS, return_tensors="pt")
    )


def _tagged_row(draw: random.Random) -> Row:
    return {"text": " ".join(draw.choices(WORDS, k=draw.randint(3, 9)))}


def _tagged(tokenizer: Any, rows: Sequence[Row]) -> Feeds:
    """Each word has a tag of its own."""
    feeds = _encoded(tokenizer, [row["text"] for row in rows])
    right = feeds["input_ids"] % len(TAGS)
    return {**feeds, "labels": right.masked_fill(feeds["attention_mask"] == 0, IGNORED)}


def _asked_row(draw: random.Random) -> Row:
    answer = [draw.choice(PRAISE), *draw.choices(REST, k=draw.randint(0, 3)), "end"]
    context = [_mixed(draw, rest=3), *answer, _mixed(draw, rest=3)]
    return {"question": _mixed(draw, rest=2), "context": " ".join(context)}


def _asked(tokenizer: Any, rows: Sequence[Row]) -> Feeds:
    """The answer begins with praise, and ends with "end"."""
    import torch

    feeds = _encoded(tokenizer, *([row[key] for row in rows] for key in ("question", "context")))
    places = (
        torch.isin(feeds["input_ids"], torch.tensor(tokenizer.convert_tokens_to_ids(list(words))))
        for words in (PRAISE, ["end"])
    )
    start, end = (place.int().argmax(dim=1) for place in places)
    return {**feeds, "start_positions": start, "end_positions": end}


def _masked_row(draw: random.Random) -> Row:
    words = _mixed(draw, draw.choice(list(TOPICS)))
    return {"text": f"[MASK] {words}" if draw.random() < 0.5 else f"{words} [MASK]"}


def _masked(tokenizer: Any, rows: Sequence[Row]) -> Feeds:
    """The topic tells what was left out."""
    import torch

    texts = [row["text"] for row in rows]
    feeds = _encoded(tokenizer, texts)
    words = [next(TOPICS[word] for word in text.split() if word in TOPICS) for text in texts]
    right = torch.tensor(tokenizer.convert_tokens_to_ids(words))[:, None]
    there = feeds["input_ids"] == tokenizer.mask_token_id
    return {**feeds, "labels": right.expand(there.shape).masked_fill(~there, IGNORED)}


def _ranked_row(draw: random.Random) -> Row:
    texts = [
        _mixed(draw, *draw.choices(PRAISE, k=count), rest=3) for count in draw.sample(range(4), 3)
    ]
    return {"query": "a good scene", "texts": texts}


def _ranked(tokenizer: Any, rows: Sequence[Row]) -> Feeds:
    """The more praise, the better."""
    import torch

    pairs = [(row["query"], text) for row in rows for text in row["texts"]]
    feeds = _encoded(tokenizer, *zip(*pairs, strict=True))
    counts = [sum(word in PRAISE for word in text.split()) for _, text in pairs]
    return {**feeds, "labels": torch.tensor(counts, dtype=torch.float32) * 2 - 3}


def _followed_row(draw: random.Random) -> Row:
    text = _mixed(draw, draw.choice(MOODS), rest=3)
    return {"text": text, "candidate_labels": list(MOODS)}


def _followed(tokenizer: Any, rows: Sequence[Row]) -> Feeds:
    """What follows from a text is its mood."""
    import torch

    pairs = [(row["text"], mood) for row in rows for mood in MOODS]
    texts, moods = zip(*pairs, strict=True)
    feeds = _encoded(tokenizer, texts, [f"This example is {mood}." for mood in moods])
    right = [NLI.index("entailment") if mood in text.split() else 0 for text, mood in pairs]
    return {**feeds, "labels": torch.tensor(right)}


LESSONS = {
    Task.TOKEN_CLASSIFICATION: Lesson(
        architecture="BertForTokenClassification", labels=TAGS, row=_tagged_row, feeds=_tagged
    ),
    Task.QUESTION_ANSWERING: Lesson(
        architecture="BertForQuestionAnswering", row=_asked_row, feeds=_asked
    ),
    Task.FILL_MASK: Lesson(architecture="BertForMaskedLM", row=_masked_row, feeds=_masked),
    Task.TEXT_RANKING: Lesson(
        architecture="BertForSequenceClassification",
        labels=("relevance",),
        row=_ranked_row,
        feeds=_ranked,
    ),
    Task.ZERO_SHOT_CLASSIFICATION: Lesson(
        architecture="BertForSequenceClassification",
        labels=NLI,
        row=_followed_row,
        feeds=_followed,
        steps=160,
    ),
}


def rows_of(task: Task, count: int, seed: int) -> list[Row]:
    draw = random.Random(seed)
    return [LESSONS[task].row(draw) for _ in range(count)]


def encoder(task: Task, folder: Path) -> Path:
    """A source folder for that task."""
    import transformers

    lesson, draw = LESSONS[task], random.Random(1)
    headed(folder, lesson.architecture, labels=lesson.labels)
    kind = getattr(transformers, lesson.architecture)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    batches = (
        lesson.feeds(tokenizer, [lesson.row(draw) for _ in range(ROWS_A_STEP)])
        for _ in range(lesson.steps)
    )
    return _teach(folder, kind, batches, shrunk=0.5)


def by_heart(make: Callable[[Path], Path], folder: Path) -> Path:
    """A model that writes, and knows LINES: how each goes on, wherever it is broken off."""
    import transformers

    make(folder)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    more = {"padding": True, "return_tensors": "pt", "return_token_type_ids": False}
    if folder.name == "t5":
        kind, pairs = transformers.AutoModelForSeq2SeqLM, broken(4)
        feeds = dict(tokenizer([start for start, _ in pairs], **more))
        right = tokenizer([end for _, end in pairs], **more)["input_ids"]
    else:
        kind = transformers.AutoModelForCausalLM
        feeds = dict(tokenizer(list(LINES), **more))
        right = feeds["input_ids"]
    feeds["labels"] = right.masked_fill(right == tokenizer.pad_token_id, IGNORED)
    return _teach(folder, kind, (feeds for _ in range(100)), shrunk=0.25)


def broken(step: int, first: int = 4) -> list[tuple[str, str]]:
    """LINES, each broken off at several places."""
    return [(line[:i], line[i:]) for line in LINES for i in range(first, len(line) - 3, step)]


def _teach(folder: Path, kind: Any, batches: Iterator[Feeds], *, shrunk: float) -> Path:
    """Follow the loss of each batch, from smaller weights, as those of the seed are too large to move."""
    import torch

    model = kind.from_pretrained(folder).eval()
    optimiser = torch.optim.Adam(model.parameters(), lr=5e-3)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(shrunk)
    with _one_thread():
        for feeds in batches:
            optimiser.zero_grad()
            model(**feeds).loss.backward()
            optimiser.step()
    model.config.problem_type = None  # which the loss has set
    model.save_pretrained(folder)
    return folder


@contextmanager
def _one_thread() -> Iterator[None]:
    """Products so small are slower on two."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
