"""Tokens become text without half a character, and end before a stop string."""

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from functions.inference.detokenizer import Detokenizer

TEXT = "naïve 🚆🚄 to 東京: 👩‍👩‍👧 Größe. " * 9


@pytest.fixture(scope="module")
def bytewise() -> Tokenizer:
    """Return a tokenizer with one token for each byte."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({char: i for i, char in enumerate(alphabet)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


@pytest.fixture(scope="module")
def pieces() -> Tokenizer:
    """Return a tokenizer of words with a mark for the space before them, and of bytes for other text."""
    words = [f"<0x{byte:02X}>" for byte in range(256)] + ["▁the", "▁train", "s", "▁"]
    vocabulary = {word: i for i, word in enumerate(words)}
    tokenizer = Tokenizer(models.BPE(vocabulary, [], byte_fallback=True))
    steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    tokenizer.decoder = decoders.Sequence([*steps, decoders.Strip(" ", 1, 0)])
    return tokenizer


def test_every_token_adds_only_whole_characters(bytewise: Tokenizer) -> None:
    detokenizer = Detokenizer(bytewise, (), ())
    for token in bytewise.encode(TEXT).ids:
        detokenizer.add(token)
        assert TEXT.startswith(detokenizer.text)
    assert detokenizer.text == TEXT


@pytest.mark.parametrize("stop", ["京", "🚄", "to 東", ": 👩‍👩", "Größe."])
def test_a_stop_string_is_found_as_soon_as_it_is_there(bytewise: Tokenizer, stop: str) -> None:
    detokenizer = Detokenizer(bytewise, ("never", stop), ())
    ids = bytewise.encode(TEXT).ids
    count = next(i for i, token in enumerate(ids, 1) if detokenizer.add(token))
    assert detokenizer.text == TEXT[: TEXT.index(stop)]
    assert bytewise.decode(ids[:count]).endswith(stop)


def test_of_two_stop_strings_the_earlier_place_counts(pieces: Tokenizer) -> None:
    detokenizer = Detokenizer(pieces, ("rains", "trains"), [256])
    assert [detokenizer.add(257), detokenizer.add(258)] == [False, True]
    assert detokenizer.text == " "


def test_half_a_character_at_the_end_is_left_out(bytewise: Tokenizer) -> None:
    detokenizer = Detokenizer(bytewise, (), ())
    for token in bytewise.encode("a🚆").ids[:-1]:
        detokenizer.add(token)
    assert detokenizer.text == "a"


def test_the_space_after_the_prompt_is_kept(pieces: Tokenizer) -> None:
    detokenizer = Detokenizer(pieces, (), [256])
    for token in (257, 258, 256) * 30:
        detokenizer.add(token)
    assert detokenizer.text == " trains the" * 30


def test_without_a_prompt_a_text_begins_with_no_space(pieces: Tokenizer) -> None:
    detokenizer = Detokenizer(pieces, (), ())
    for token in (257, 256):
        detokenizer.add(token)
    assert detokenizer.text == "train the"


def test_characters_of_single_bytes_are_emitted_between_words(pieces: Tokenizer) -> None:
    detokenizer = Detokenizer(pieces, (), [256])
    for _ in range(20):
        for token in (*"🚆🚄".encode(), 257):
            detokenizer.add(token)
    assert detokenizer.text == "🚆🚄 train" * 20


def test_bytes_that_are_no_text_do_not_pile_up(bytewise: Tokenizer) -> None:
    alphabet = bytewise.get_vocab()
    invalid = [alphabet["ÿ"]] * 500  # 0xFF, which no UTF-8 text holds
    detokenizer = Detokenizer(bytewise, (), ())
    for token in [*invalid, *bytewise.encode("end").ids]:
        detokenizer.add(token)
    assert detokenizer.text == "\ufffd" * 500 + "end"
    assert detokenizer.window < 100
