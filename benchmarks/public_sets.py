"""The rows of public sets of labelled texts, as their files have them."""

import csv
import json
from pathlib import Path

from examples.rows import Row

LEAST_WORDS = (
    5  # SST-2's training rows are phrases of parse trees; what is classified are sentences
)


def sst2(data: Path, name: str) -> list[Row]:
    with (data / "glue-sst2" / f"{name}.tsv").open(encoding="utf-8", newline="") as file:
        # In GLUE's files a quotation mark is part of the sentence.
        rows = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        names = ("negative", "positive")
        return [Row(text=row["sentence"], label=names[int(row["label"])]) for row in rows]


def sst2_training(data: Path) -> list[Row]:
    return [row for row in sst2(data, "train_full") if len(row.text.split()) >= LEAST_WORDS]


def sst2_evaluation(data: Path) -> list[Row]:
    return [*sst2(data, "dev"), *sst2(data, "test-labeled")]


def banking77(data: Path, name: str) -> list[Row]:
    with (data / "banking77" / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return [Row(text=row["text"], label=row["category"]) for row in csv.DictReader(file)]


def clinc150(data: Path, name: str) -> list[Row]:
    """Return the rows of a part that are in scope; the others have no label that a model could learn."""
    document = json.loads((data / "clinc150" / "data_full.json").read_text("utf-8"))
    return [Row(text=text, label=label) for text, label in document[name]]


def xquad(data: Path) -> list[str]:
    """Return the paragraphs that XQuAD asks about."""
    document = json.loads((data / "xquad-en" / "xquad.en.json").read_text("utf-8"))
    return [each["context"] for article in document["data"] for each in article["paragraphs"]]
