"""The header of a model card: what a repository's README.md says of the model in YAML between two lines of hyphens.

https://huggingface.co/docs/hub/model-cards
"""

import re
from dataclasses import dataclass
from pathlib import Path

FILE = "README.md"
# ISO 639-1, which is how languages of the sample are named; cards may also have names such as "multilingual".
LANGUAGE = re.compile(r"[a-z]{2}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """The entries of a header that detection reads; "" and () where there are none."""

    pipeline_tag: str = ""
    languages: tuple[str, ...] = ()


def read_card(folder: Path) -> ModelCard:
    """Return the header of the card in a folder; it is empty where there is no card, or none that can be read."""
    try:
        text = (folder / FILE).read_text("utf-8", "replace")
    except OSError:
        return ModelCard()
    header = re.match(r"---\r?\n(.*?)\n---", text, re.DOTALL)
    lines = header.group(1).splitlines() if header else []
    languages = _values(lines, "language")
    # One name that is no code, such as "multilingual", says that the list is not all of them.
    known = all(LANGUAGE.fullmatch(language) for language in languages)
    return ModelCard(
        pipeline_tag=next(iter(_values(lines, "pipeline_tag")), ""),
        languages=languages if known else (),
    )


def _values(lines: list[str], key: str) -> tuple[str, ...]:
    """Return the values of a key: one, a list in brackets, or a list of one each line."""
    for number, line in enumerate(lines):
        if line.startswith(f"{key}:"):
            value = line.partition(":")[2].strip().strip("[]")
            listed = value.split(",") if value else _items(lines[number + 1 :])
            return tuple(filter(None, (each.strip().strip("\"'") for each in listed)))
    return ()


def _items(lines: list[str]) -> list[str]:
    items = []
    for line in lines:
        item = re.match(r"\s*-\s+(.*)", line)
        if item is None:
            break
        items.append(item.group(1))
    return items
