"""Tokens become text without half a character, and end before a stop string."""

import random

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


def random_run(chance: random.Random) -> list[int]:
    """Return byte tokens of whole characters, of bytes that are none, and of one that is cut."""
    characters = [*(c.encode() for c in "aé京🚆"), b"\xff", b"\x9a", "🚆".encode()[:3], b"\xc3"]
    return [byte for part in chance.choices(characters, k=chance.randrange(1, 6)) for byte in part]


@pytest.mark.parametrize("seed", range(40))
def test_a_run_of_byte_tokens_is_text_or_none_of_it_is(pieces: Tokenizer, seed: int) -> None:
    pieces.add_special_tokens(["<unused>"])
    chance = random.Random(seed)
    prompt = [*chance.choices((256, 257, *"é".encode()), k=chance.randrange(4)), 257]
    tokens: list[int] = []
    while len(tokens) < 120:
        tokens += random_run(chance)
        tokens += chance.choices((256, 257, 258, 260), k=chance.randrange(2 if seed % 2 else 24))
    detokenizer = Detokenizer(pieces, (), prompt)
    start = len(pieces.decode(prompt))
    for count, token in enumerate(tokens, 1):
        detokenizer.add(token)
        right = pieces.decode([*prompt, *tokens[:count]])[start:]
        assert detokenizer.text.rstrip("\ufffd") == right.rstrip("\ufffd")
        assert right.startswith(detokenizer.text)


def test_byte_tokens_of_a_prompt_are_not_continued(pieces: Tokenizer) -> None:
    detokenizer = Detokenizer(pieces, (), [257, *"🚆".encode()])
    for token in (0xFF, 257):
        detokenizer.add(token)
    assert detokenizer.text == "\ufffd train"


def test_a_stop_string_of_bytes_is_found_before_they_are_no_text(pieces: Tokenizer) -> None:
    detokenizer = Detokenizer(pieces, ("京",), [257])
    tokens = [*"東京".encode(), 0xFF]
    assert [detokenizer.add(token) for token in tokens[:-1]][-1]
    assert detokenizer.text == "東"
