"""A query and a text within the chat template of a reranker, as sentence-transformers' CrossEncoder tokenizes them.

The template's tokens are text like any other, without the special tokens that a tokenizer adds by itself. What a long
text loses at its end, the template's own end replaces: the logit behind it is the score.
https://sbert.net/docs/package_reference/base/modules.html#sentence_transformers.base.modules.Transformer
"""

from collections.abc import Mapping, Sequence
from typing import Any

from tokenizers import Encoding, Tokenizer

from contracts.manifest import Manifest
from functions.inference.tasks.prompts import NONE, prompt_of

# The key of a manifest's details: `order` has the two roles, `stripped` those whose content loses the white space
# around it, and `pieces` the three texts around them for each prompt.
CONVERSATION = "conversation"
ROLES = ("query", "document")
# Contents whose tokens differ at both ends: what two conversations end in alike is the template's.
FILLERS = ("0", "1 2 3 4")


def joined(conversation: Mapping[str, Any], prompt: str, contents: Mapping[str, str]) -> str:
    """Return a conversation as one text."""
    before, between, after = conversation["pieces"][prompt]
    first, second = (
        contents[role].strip() if role in conversation["stripped"] else contents[role]
        for role in conversation["order"]
    )
    return f"{before}{first}{between}{second}{after}"


def with_ending(
    encodings: Sequence[Encoding],
    tokenizer: Tokenizer,
    manifest: Manifest,
    parameters: Mapping[str, Any],
) -> list[Encoding]:
    """Return the encodings, those that were cut with the template's end in place of their last tokens."""
    full = manifest.max_tokens
    if all(len(encoding) < full for encoding in encodings):
        return list(encodings)
    prompt = prompt_of(parameters, manifest.details, NONE)
    ending = ending_of(tokenizer, manifest.details[CONVERSATION], prompt)
    ending.truncate(full, direction="left")
    return [_replaced(e, ending) if len(e) >= full else e for e in encodings]


def ending_of(tokenizer: Tokenizer, conversation: Mapping[str, Any], prompt: str) -> Encoding:
    """Return the tokens that every conversation with that prompt ends in."""
    texts = [joined(conversation, prompt, dict.fromkeys(ROLES, filler)) for filler in FILLERS]
    one, other = (_untruncated(tokenizer.encode(text, add_special_tokens=False)) for text in texts)
    pairs = list(zip(reversed(one.ids), reversed(other.ids), strict=False))
    alike = next((i for i, (a, b) in enumerate(pairs) if a != b), 0)
    one.truncate(alike, direction="left")
    return one


def _untruncated(encoding: Encoding) -> Encoding:
    """Return an encoding with the tokens that were cut off, wherever they stood."""
    parts = sorted([encoding, *encoding.overflowing], key=lambda part: part.offsets[0][0])
    return Encoding.merge(parts, growing_offsets=False)


def _replaced(encoding: Encoding, ending: Encoding) -> Encoding:
    """Return an encoding whose last tokens are those of the ending; the same one where they are so already."""
    count = len(ending)
    if not count or (not encoding.overflowing and encoding.ids[-count:] == ending.ids):
        return encoding
    encoding.truncate(len(encoding) - count)
    return Encoding.merge([encoding, ending], growing_offsets=False)
