"""The facts of a source that its sample rows depend on, and whether rows are those of the sample alone."""

import json
from collections.abc import Sequence

from build.evaluation.rows import Row
from build.samples.rows import WORDS, SampleFacts, sample_rows
from build.sources.arpa import parser
from build.sources.formats import ARPA
from build.sources.source import Source, TableSource
from build.sources.vectors.words import first_words
from contracts.tasks import Task

# Beginnings of the labels of natural language inference: a classifier with both compares two texts.
INFERENCE = ("entail", "contra")


def facts_of(source: Source) -> SampleFacts:
    """Return the facts of a source that was read; raise Unusable where its words cannot be."""
    return SampleFacts(
        mask_token=str(source.details.get("mask_token", "")),
        pairs=compares_pairs(source.labels),
        words=_words(source) if isinstance(source, TableSource) else (),
    )


def compares_pairs(labels: Sequence[str]) -> bool:
    """Return whether labels are those of natural language inference."""
    return all(any(label.lower().startswith(name) for label in labels) for name in INFERENCE)


def _words(source: TableSource) -> tuple[str, ...]:
    if source.kind == ARPA:
        words, _ = parser.read_words(source.path)
        marks = {parser.START, parser.END, *parser.UNKNOWN}
        return tuple(word for word in words if word not in marks)
    # More than are needed, since some may be longer than a request may have them.
    return first_words(source.path, 2 * WORDS)


def only_sample_rows(source: Source, rows: Sequence[Row]) -> bool:
    """Return whether every row is a row of the sample, as it is: then nothing is proven on the user's own texts.

    The rows themselves are compared, so that this cannot be outdated: one row of the user's, or a right answer given to
    one of the sample's, and the rows are the user's.
    """
    if any(row.answer is not None for row in rows):
        return False
    task = source.task
    parsed = (
        task.rows.parse(row, source.labels or None)
        for row in sample_rows(Task(task.name), facts_of(source))
    )
    sample = {_key(row) for row in parsed}
    return all(_key(row) in sample for row in rows)


def _key(row: Row) -> str:
    return json.dumps([row.request.inputs, row.request.parameters], sort_keys=True)
