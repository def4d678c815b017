"""The texts of the sample, written for this project: support mails, reviews, news and questions, short and long.

Each has a language (ISO 639-1), a topic and a question that the text answers in the same language.
"""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

FILE = Path(__file__).with_name("texts.jsonl")


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleText:
    """One text of the sample."""

    language: str
    topic: str
    text: str
    question: str


@cache
def sample_texts() -> tuple[SampleText, ...]:
    """Return every text in the order of the file, those of one language together."""
    # Not `splitlines`: JSON strings may hold characters that Python takes for ends of lines.
    lines = FILE.read_text("utf-8").split("\n")
    return tuple(SampleText(**json.loads(line)) for line in lines if line)
