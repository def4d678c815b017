"""Marian's tokens are those of transformers, on every text of the sample and on the ugliest, and so are its texts."""

import random
import shutil
import sys
import unicodedata
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from build.samples.texts import sample_texts
from build.sources.huggingface.marian.folder import read_marian, write_marian
from build.workspace.quiet import quiet
from functions.inference.marian.pieces import PIECES, PieceTokenizer
from tests.fixtures.models.encoder_decoders.marian import marian
from tests.fixtures.problems import raises

pytestmark = pytest.mark.build

SAMPLE = [text for each in sample_texts() for text in (each.text, each.question)]
UGLY = (
    "", " ", "  a  b ", "\ta\nb\r\nc", "a\u00a0b", "▁x ▁", "x▁y", "ﬁ ① ½ Å", "①\u0301", "a\u0300\u0301\u0302b",
    "\u1112\u1161\u11ab", "ﾃｽﾄ テスト", "नमस्ते दुनिया", "ภาษาไทยครับ", "السَّلَامُ", "👩‍👩‍👧‍👦 🚆️ 1️⃣",
    "a\u200bb\ufeffc", "\x00\x01 z", "\x85", "＞＞fra＜＜ x", "<<>>", "a" * 300, ">>fra<< Hello",
    ">>fra<<Hello", ">>xyz<< Hello",
    ">>a b<< c",
    "x >>fra<< y", ">> <<", ">>fra<<", "</s> a </s>b", "a<pad>b <unk> c", "<s>", "日", "a日本b 日 本", "\ufdd0<s>",
    "<<>>fra<< x", ">>a\nb<< c", "</s>>>fra<< Hi", " <s>", "<unk>", "▁",
)  # fmt: skip
SCRIPTS = (
    (0x20, 0x250), (0x300, 0x700), (0x900, 0xA00), (0xE00, 0xE80), (0x1100, 0x1200), (0x2000, 0x2600),
    (0x3040, 0x3100), (0xAC00, 0xAD00), (0xFF00, 0xFFA0), (0x1F300, 0x1F600),
)  # fmt: skip


@pytest.fixture(scope="module", params=[False, True], ids=["one list of ids", "two lists"])
def made(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Any, PieceTokenizer]:
    """Return a folder, its tokenizer by transformers, and ours."""
    from transformers import AutoTokenizer

    place = tmp_path_factory.mktemp("marian")
    folder = marian(place / "marian", separate=request.param)
    with quiet():
        theirs = AutoTokenizer.from_pretrained(folder)
    written = read_marian(folder)
    write_marian(written, 1 + max(written.target_ids.values()), place / "made")
    return folder, theirs, PieceTokenizer.open(place / "made", 1 << 30)


def random_texts(count: int) -> list[str]:
    seed = random.randrange(1 << 30)
    sys.stdout.write(f"seed {seed}\n")
    chosen = random.Random(seed)
    characters = [
        character
        for first, last in SCRIPTS
        for character in map(chr, range(first, last))
        if unicodedata.category(character) != "Cn"
    ]
    pools = (characters, " ab>></s")
    return ["".join(chosen.choice(chosen.choice(pools)) for _ in range(9)) for _ in range(count)]


def test_every_text_becomes_the_tokens_of_transformers(
    made: tuple[Path, Any, PieceTokenizer],
) -> None:
    _, theirs, ours = made
    decomposed = [unicodedata.normalize("NFD", text) for text in SAMPLE]
    texts = [*SAMPLE, *decomposed, *UGLY, *random_texts(1000)]
    wrong = [text for text in texts if ours.encode(text).ids != theirs(text)["input_ids"]]
    assert wrong == []
    # Some of what is read is known, and some is not.
    unknown = theirs.unk_token_id
    shares = [ids.count(unknown) / len(ids) for ids in (ours.encode(t).ids for t in SAMPLE)]
    assert min(shares) < 0.2 < max(shares)


def test_every_sequence_of_tokens_becomes_the_text_of_transformers(
    made: tuple[Path, Any, PieceTokenizer],
) -> None:
    _, theirs, ours = made
    chosen = random.Random(5)
    count = len(ours.pieces)
    for _ in range(500):
        ids = [chosen.randrange(count) for _ in range(chosen.randrange(12))]
        assert ours.decode(ids) == theirs.decode(ids, skip_special_tokens=True), ids


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("limit", [2, 9, 30])
def test_long_texts_are_cut_as_by_transformers(
    made: tuple[Path, Any, PieceTokenizer], side: str, limit: int
) -> None:
    _, theirs, ours = made
    cut = replace(ours, limit=limit, left=side == "left")
    theirs.truncation_side = side
    for text in (*SAMPLE[:20], *UGLY):
        right = theirs(text, truncation=True, max_length=limit)["input_ids"]
        found = cut.encode(text)
        assert found.ids == right, text
        assert bool(found.overflowing) == (len(ours.encode(text).ids) > limit)


def test_a_damaged_list_of_pieces_is_refused(
    made: tuple[Path, Any, PieceTokenizer], tmp_path: Path
) -> None:
    with raises("artefact_broken", PIECES):
        PieceTokenizer.open(tmp_path, 8)
    folder, _, _ = made
    shutil.copyfile(folder.with_name("made") / "tokenizer.json", tmp_path / "tokenizer.json")
    (tmp_path / PIECES).write_text("{}", "utf-8")
    with raises("artefact_broken", PIECES):
        PieceTokenizer.open(tmp_path, 8)
