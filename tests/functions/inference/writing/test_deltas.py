"""The deltas of any tokens are the text they become, however tokens, stop strings and spaces fall."""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import accumulate

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from contracts.streaming import Delta
from functions.inference.detokenizer import Detokenizer, clean_up
from functions.inference.writing.deltas import deltas
from functions.inference.writing.steps import LENGTH, STOP, Steps

SIGNS = "but . ? ! , ' n't 'm 's 've 're n v r s t m e".split()


def bytewise() -> Tokenizer:
    """Return a tokenizer of bytes, and of some pairs of them that are halves of characters."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = [("Ã", "¼"), ("ð", "Ł"), ("ļ", "Ĩ"), ("Ġ", "t"), ("a", "Ã")]
    words = [*alphabet, *("".join(pair) for pair in merges)]
    tokenizer = Tokenizer(models.BPE({word: i for i, word in enumerate(words)}, merges))
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<unused>"])
    return tokenizer


def pieces() -> Tokenizer:
    """Return a tokenizer of words with a mark for the space before them, and of bytes for other text."""
    words = [f"<0x{byte:02X}>" for byte in range(256)] + ["▁the", "▁train", "s", "▁", "ü", "."]
    tokenizer = Tokenizer(models.BPE({w: i for i, w in enumerate(words)}, [], byte_fallback=True))
    steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    tokenizer.decoder = decoders.Sequence([*steps, decoders.Strip(" ", 1, 0)])
    tokenizer.add_special_tokens(["<unused>"])
    return tokenizer


def words() -> Tokenizer:
    """Return a tokenizer of words and of parts that continue one."""
    vocabulary = ["[UNK]", *SIGNS, "##s", "##ü", "don", "'", "##'", "##t", "東", "##京"]
    vocabulary = list(dict.fromkeys(vocabulary))
    tokenizer = Tokenizer(
        models.WordPiece({w: i for i, w in enumerate(vocabulary)}, unk_token="[UNK]")
    )
    tokenizer.decoder = decoders.WordPiece()
    return tokenizer


def signs() -> Tokenizer:
    """Return a tokenizer of words with spaces between them, also of spaces, as clean-up finds them."""
    vocabulary = [*SIGNS, " ", "' ", " '", "x"]
    return Tokenizer(models.WordLevel({w: i for i, w in enumerate(vocabulary)}, unk_token="x"))


def ended_words() -> Tokenizer:
    """Return a tokenizer whose words say that they end."""
    vocabulary = ["a</w>", "b</w>", "c", "ü", "🚆</w>"]
    tokenizer = Tokenizer(models.WordLevel({w: i for i, w in enumerate(vocabulary)}, unk_token="c"))
    tokenizer.decoder = decoders.BPEDecoder()
    return tokenizer


TOKENIZERS: Mapping[str, Callable[[], Tokenizer]] = {
    made.__name__: made for made in (bytewise, pieces, words, signs, ended_words)
}


def written(detokenizer: Detokenizer, tokens: Sequence[int]) -> Steps:
    """Write the tokens, as a model does that is sure of them."""
    yield detokenizer
    for token in tokens:
        if detokenizer.add(token):
            return {"finish_reason": STOP}
        yield detokenizer
    return {"finish_reason": LENGTH}


def sent(
    tokenizer: Tokenizer,
    tokens: Sequence[int],
    stop: Sequence[str] = (),
    prompt: Sequence[int] = (),
    cleaned: bool = False,
) -> tuple[list[str], str, str]:
    """Return the deltas, the text as it is without them, and why it ended."""
    steps = deltas(written(Detokenizer(tokenizer, stop, prompt), tokens), 3, cleaned=cleaned)
    ending, found = {}, []

    def to_its_end() -> Iterator[Delta]:
        ending.update((yield from steps))

    for delta in to_its_end():
        assert delta.index == 3
        found.append(delta.text)
    whole = Detokenizer(tokenizer, stop, prompt)
    any(whole.add(token) for token in tokens)
    return found, clean_up(whole.text) if cleaned else whole.text, ending["finish_reason"]


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize("name", TOKENIZERS)
def test_deltas_are_the_text_of_any_tokens(name: str, seed: int) -> None:
    """Show it for random tokens, many of them bytes of characters, behind random prompts."""
    tokenizer, chance = TOKENIZERS[name](), random.Random(seed)
    size = tokenizer.get_vocab_size()
    few = chance.sample(range(size), min(size, 6))
    for stops in (0, 0, 1, 3):
        tokens = [t for _ in range(60) for t in some(tokenizer, chance, few, size)]
        prompt = chance.choices(range(size), k=chance.randrange(4))
        text = tokenizer.decode(tokens) or "x"
        places = [chance.randrange(len(text)) for _ in range(stops)]
        stop = [text[at : at + chance.randrange(1, 6)] for at in places]
        for cleaned in (False, True):
            found, whole, _ = sent(tokenizer, tokens, stop, prompt, cleaned)
            assert "".join(found) == whole
            assert all(found)
            assert not any(s in whole for s in stop if not cleaned)


def ids_of(tokenizer: Tokenizer, *words: str) -> list[int]:
    """Return the ids of tokens that the vocabulary has."""
    return [i for word in words if (i := tokenizer.token_to_id(word)) is not None]


def some(tokenizer: Tokenizer, chance: random.Random, few: Sequence[int], size: int) -> list[int]:
    """Return a token of few, any token, or the tokens of some bytes."""
    kind = chance.randrange(3)
    if kind == 0:
        return [chance.choice(few)]
    if kind == 1:
        return [chance.randrange(size)]
    data = b"".join(chance.choices([b"\xc3\xbc", "🚆".encode(), b"\xff", b"\xf0\x9f", b" t", b"."]))
    return ids_of(tokenizer, *(f"<0x{byte:02X}>" for byte in data)) or [chance.randrange(size)]


@pytest.mark.parametrize("stop", ["", "zzz"])
def test_a_token_that_is_certain_is_sent_at_once(stop: str) -> None:
    tokenizer = TOKENIZERS["bytewise"]()
    found, whole, _ = sent(tokenizer, ids_of(tokenizer, *"plain"), [stop] if stop else [])
    assert (found, whole) == (list("plain"), "plain")


def test_half_a_character_is_held_back_until_it_is_whole() -> None:
    tokenizer = TOKENIZERS["pieces"]()
    found, _, _ = sent(tokenizer, [257, *"ü🚆".encode(), 256, *"🚆".encode()[:3]], prompt=[256])
    # Bytes are all text or none of them is, which the first other token decides.
    assert found == [" train", "ü🚆 the"]


def test_what_may_become_a_stop_string_is_held_back_until_it_cannot() -> None:
    tokenizer = TOKENIZERS["bytewise"]()
    found, _, reason = sent(tokenizer, ids_of(tokenizer, *"xababx"), ["abc"])
    assert (found, reason) == (["x", "ab", "abx"], LENGTH)
    found, _, reason = sent(tokenizer, ids_of(tokenizer, *"xababcx"), ["abc"])
    assert (found, reason) == (["x", "ab"], STOP)
    # At the end it is no stop string.
    found, _, reason = sent(tokenizer, ids_of(tokenizer, *"xab"), ["abc"])
    assert (found, reason) == (["x", "ab"], LENGTH)


def test_a_space_is_held_back_where_it_may_be_cleaned_up() -> None:
    tokenizer = TOKENIZERS["signs"]()
    ids = ids_of(tokenizer, "x", ",", "x", "'", "s", "x")
    found, whole, _ = sent(tokenizer, ids, cleaned=True)
    assert whole == "x, x's x"
    assert list(accumulate(found)) == ["x", "x,", "x, x", "x, x's", "x, x's x"]


@pytest.mark.parametrize("seed", range(20))
def test_deltas_are_the_text_wherever_it_is_cleaned_up(seed: int) -> None:
    """Show it for texts of the characters that are in any string which is replaced, one in each token."""
    tokenizer, chance = TOKENIZERS["bytewise"](), random.Random(seed)
    tokens = ids_of(tokenizer, *chance.choices([*"ĠĠĠĠ''''.?!,ntmsvrre"], k=600))
    found, whole, _ = sent(tokenizer, tokens, cleaned=True)
    assert "".join(found) == whole
    assert len(found) > 300


def test_no_tokens_are_no_deltas() -> None:
    assert sent(TOKENIZERS["words"](), []) == ([], "", LENGTH)
