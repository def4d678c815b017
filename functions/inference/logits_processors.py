"""Changes of the logits before a token is chosen, as a model's generation_config.json asks for them.

Each is transformers' logits processor for the key of the same name, and they run in transformers' order.
https://github.com/huggingface/transformers/blob/v5.24.0/src/transformers/generation/logits_process.py
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Logits = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenHistory:
    """The tokens of one text so far.

    `prompt` are those that the decoder starts from, `text` those that an encoder read (none in a causal model), `ends`
    the tokens that end a text. At most `max_new_tokens` follow the prompt.
    """

    prompt: Sequence[int] = ()
    text: Sequence[int] = ()
    ends: Sequence[int] = ()
    max_new_tokens: int = 0
    generated: list[int] = field(default_factory=list)

    @property
    def ids(self) -> list[int]:
        """Return the prompt and the tokens that were generated after it."""
        return [*self.prompt, *self.generated]


Processor = Callable[["Logits", Any, TokenHistory], "Logits"]


def sequence_bias(scores: "Logits", bias: Any, history: TokenHistory) -> "Logits":
    """Add to the score of each token that would complete one of the sequences: `[[ids, bias], ...]`."""
    ids, changed = history.ids, scores.copy()
    for sequence, value in bias:
        *prefix, last = sequence
        if not prefix or ids[-len(prefix) :] == prefix:
            changed[last] += value
    return changed


def encoder_repetition_penalty(scores: "Logits", penalty: float, history: TokenHistory) -> "Logits":
    """Make the tokens of the encoder's text more likely, for a penalty above 1."""
    return penalise(scores, list(set(history.text)), 1 / penalty)


def repetition_penalty(scores: "Logits", penalty: float, history: TokenHistory) -> "Logits":
    """Make tokens less likely that the prompt or the output has, for a penalty above 1."""
    return penalise(scores, list({*history.prompt, *history.generated}), penalty)


def penalise(scores: "Logits", seen: Sequence[int], penalty: float) -> "Logits":
    """Make seen tokens less likely: CTRL (https://arxiv.org/abs/1909.05858, section 4.1).

    As transformers does, a negative score is multiplied, because a division would make it likelier.
    """
    changed = scores.copy()
    of_seen = scores[seen]
    changed[seen] = np.where(of_seen < 0, of_seen * penalty, of_seen / penalty)
    return changed


def no_repeat_ngram_size(scores: "Logits", size: int, history: TokenHistory) -> "Logits":
    """Ban tokens that would complete a sequence of that many tokens for a second time."""
    return _without(scores, _followers(history.ids, history.ids, size))


def encoder_no_repeat_ngram_size(scores: "Logits", size: int, history: TokenHistory) -> "Logits":
    """Ban tokens that would complete a sequence of that many tokens of the encoder's text."""
    return _without(scores, _followers(history.text, history.ids, size))


def _followers(within: Sequence[int], ids: Sequence[int], size: int) -> list[int]:
    """Return the tokens after the last `size - 1` of `ids`, wherever these stand in `within`."""
    if len(ids) + 1 < size:
        return []
    prefix = list(ids[len(ids) + 1 - size :])
    places = range(len(within) - size + 1)
    return [within[i + size - 1] for i in places if list(within[i : i + size - 1]) == prefix]


def bad_words_ids(scores: "Logits", words: Any, history: TokenHistory) -> "Logits":
    """Ban tokens that would complete one of the sequences; an end token alone cannot be banned."""
    ends = [[end] for end in history.ends]
    banned = [[word, -np.inf] for word in words if word not in ends]
    return sequence_bias(scores, banned, history)


def min_length(scores: "Logits", length: int, history: TokenHistory) -> "Logits":
    """Ban the end while prompt and output together have fewer tokens."""
    return _without(scores, history.ends) if len(history.ids) < length else scores


def min_new_tokens(scores: "Logits", count: int, history: TokenHistory) -> "Logits":
    """Ban the end while the output has fewer tokens."""
    return _without(scores, history.ends) if len(history.generated) < count else scores


def forced_bos_token_id(scores: "Logits", token: int, history: TokenHistory) -> "Logits":
    """Leave that token alone where the decoder has read nothing but its start token."""
    return _only(scores, [token]) if len(history.ids) == 1 else scores


def forced_eos_token_id(scores: "Logits", tokens: Any, history: TokenHistory) -> "Logits":
    """Leave those tokens alone as the last of the output."""
    last = len(history.generated) == history.max_new_tokens - 1
    return _only(scores, _listed(tokens)) if last else scores


def exponential_decay_length_penalty(
    scores: "Logits", decay: Any, history: TokenHistory
) -> "Logits":
    """Make the end likelier with each token after the first `decay[0]`, by the factor `decay[1]`."""
    start, factor = decay
    past = len(history.generated) - start
    if past <= 0:
        return scores
    ends, changed = list(history.ends), scores.copy()
    of_ends = scores[ends]
    more = np.where(np.isfinite(of_ends), np.abs(of_ends) * (factor**past - 1), 0.0)
    changed[ends] = of_ends + more
    return changed


def suppress_tokens(scores: "Logits", tokens: Sequence[int], history: TokenHistory) -> "Logits":
    """Ban the tokens."""
    return _without(scores, tokens)


def begin_suppress_tokens(
    scores: "Logits", tokens: Sequence[int], history: TokenHistory
) -> "Logits":
    """Ban the tokens as the first of the output."""
    return scores if history.generated else _without(scores, tokens)


def _without(scores: "Logits", tokens: Iterable[int]) -> "Logits":
    banned = [token for token in tokens if token < len(scores)]
    changed = scores.copy()
    changed[banned] = -np.inf
    return changed


def _only(scores: "Logits", tokens: Sequence[int]) -> "Logits":
    changed = np.full_like(scores, -np.inf)
    changed[list(tokens)] = 0
    return changed


def _listed(tokens: Any) -> list[int]:
    return list(tokens) if isinstance(tokens, list) else [int(tokens)]


# By the key of generation_config.json, in the order of transformers' `GenerationMixin._get_logits_processor`.
PROCESSORS: Mapping[str, Processor] = {
    "sequence_bias": sequence_bias,
    "encoder_repetition_penalty": encoder_repetition_penalty,
    "repetition_penalty": repetition_penalty,
    "no_repeat_ngram_size": no_repeat_ngram_size,
    "encoder_no_repeat_ngram_size": encoder_no_repeat_ngram_size,
    "bad_words_ids": bad_words_ids,
    "min_length": min_length,
    "min_new_tokens": min_new_tokens,
    "forced_bos_token_id": forced_bos_token_id,
    "forced_eos_token_id": forced_eos_token_id,
    "exponential_decay_length_penalty": exponential_decay_length_penalty,
    "suppress_tokens": suppress_tokens,
    "begin_suppress_tokens": begin_suppress_tokens,
}


def process(scores: "Logits", settings: Mapping[str, Any], history: TokenHistory) -> "Logits":
    """Return the scores after every processor that the settings name."""
    for key, processor in PROCESSORS.items():
        if key in settings:
            scores = processor(scores, settings[key], history)
    return scores
