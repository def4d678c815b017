"""The number of tokens that a model reads of each text: `max_tokens` in `models.toml`, or else its smallest limit.

Limits are read where each format has them: config.json and its neighbours in `huggingface/folder.py`, the position
tables of a graph in `position_tables.py`, a graph's fixed length in `bare_graph.py`, GGUF's context length in
`gguf/consistency.py`. An n-gram has none, so `arpa/source.py` sets one.
"""

from collections.abc import Sequence

from build.sources.source import Unusable
from contracts.problems import Code, Problem

# Larger limits are not trusted: transformers writes a number around 1e30 as the length of a tokenizer that has no limit
# of its own.
MAX_TRUSTED_LIMIT = 1_000_000


def token_limit(max_tokens: int | None, limits: Sequence[int]) -> int | None:
    """Return `max_tokens`, or else the smallest of the model's limits; None where there is neither.

    Raise Unusable if `max_tokens` is more than that limit.
    """
    limit = min(limits, default=None)
    if limit and (problem := limit_problem(max_tokens, limit)):
        raise Unusable.listing([problem])
    return max_tokens or limit


def limit_problem(max_tokens: int | None, limit: int) -> Problem | None:
    """Return the problem if `max_tokens` is more than the model's limit."""
    if not max_tokens or max_tokens <= limit:
        return None
    message = f"reads {limit} tokens at most, but max_tokens is {max_tokens}; lower it"
    return Problem(code=Code.LENGTH_INVALID, message=message)
