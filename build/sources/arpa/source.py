"""n-gram models in ARPA files as sources."""

from pathlib import Path

from build.sources.arpa import parser
from build.sources.formats import ARPA
from build.sources.source import TableSource, Unusable, digest_of
from build.tasks.description import FamilyName, TaskDescription
from contracts.problems import Code
from contracts.specs import SourceOptions

# The limit where `max_tokens` gives none (see `build.sources.token_limit`). It bounds the memory of a request alone: an
# n-gram reads few words, however long the text is.
MAX_TOKENS = 1024


def read(
    path: Path, task: TaskDescription, max_tokens: int | None, options: SourceOptions
) -> TableSource:
    """Return the source; raises Unusable. What follows the 1-grams is checked in the build: that takes a while."""
    if task.family is not FamilyName.SCORER:
        raise Unusable(
            Code.TASK_UNSUPPORTED,
            f"{task.name} cannot be built from n-grams; its task is language-model-scoring",
        )
    _, order = parser.read_words(path)
    limit = max_tokens or MAX_TOKENS
    # Windows over a long text overlap by half of max_tokens, which has to hold the words that an n-gram looks back on.
    if limit < 2 * order:
        raise Unusable(
            Code.LENGTH_INVALID,
            f"max_tokens {limit} is less than twice its order, {order}; raise it",
        )
    return TableSource(
        kind=ARPA,
        path=path,
        task=task,
        digest=digest_of(None, path),
        weight_bytes=path.stat().st_size,
        max_tokens=limit,
    )
