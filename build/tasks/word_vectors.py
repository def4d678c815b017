"""Word vectors: the vector of a word, and the words nearest to it."""

from typing import Any

from build.evaluation.comparison import NumberComparison
from build.evaluation.rows import Labels, Row, RowFormat, request_of, score_field, text_field
from build.evaluation.vectors.embedding_similarity import uninformative_vectors
from build.evaluation.vectors.word_similarity import compare_words
from build.tasks.description import FamilyName, TaskDescription
from contracts.tasks import Task

# Nearest words that a row asks for.
NEAREST = 10


def parse_row(row: dict[str, Any], labels: Labels) -> Row:
    """Return a word, or a pair of words with a score of how alike people find them."""
    word = text_field(row)
    if "other" not in row and "score" not in row:
        return Row(request=request_of(word, nearest=NEAREST))
    score = score_field(row, "text", "other")
    return Row(request=request_of(word, text_field(row, "other"), nearest=NEAREST), answer=score)


DESCRIPTION = TaskDescription(
    name=Task.WORD_VECTORS,
    family=FamilyName.WORD_VECTORS,
    rows=RowFormat(
        parse=parse_row,
        example='{"text": "king"} or {"text": "king", "other": "queen", "score": 8.6}',
        answer="score",
    ),
    comparison=NumberComparison(measure=compare_words, uninformative_outputs=uninformative_vectors),
)
