"""Entities of random tags, of every scheme and tokenizer, against transformers' own pipeline.

The pipeline is given the logits, so that thousands of sequences are compared without a model's forward pass.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

from build.evaluation.rows import read_rows
from build.tasks.description import ModelFacts
from build.tasks.registry import TASKS
from build.tasks.token_classification import details
from contracts.manifest import Manifest
from contracts.tasks import Task, Tier
from functions.inference.tasks.head import Context
from functions.inference.tasks.token_classification import postprocess
from functions.inference.token_batches import open_tokenizer, stride_of
from tests.fixtures.models.tiny_bert import write_rows

pytestmark = pytest.mark.build

SCHEMES = {
    "BIO": ("O", "B-PER", "I-PER", "B-LOC", "I-LOC"),
    "BIOES": ("O", "B-PER", "I-PER", "E-PER", "S-PER", "B-LOC", "I-LOC", "E-LOC", "S-LOC"),
    "BILOU": ("O", "B-PER", "I-PER", "L-PER", "U-PER"),
    "IOB1": ("O", "I-PER", "B-PER", "I-LOC"),
    "plain": ("O", "PER", "LOC", "ORG"),
    "mixed": ("O", "B-PER", "PER", "X-PER", "b-per", "date-time", "B-date-time", "I-O", "E-O"),
    "no outside": ("PER", "B-LOC"),
}
WORDS = ("Ada", "lovelace", "lived", "in", "London", "Zoë", "naïve", "jumping", "U.S.", "東京")
LINKS = (" ", " ", " ", "  ", ", ", "-", "'s ", "\n", "… ", "")
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
TOKENS = 24


def sentences(seed: int, count: int, longest: int) -> list[str]:
    """Words of the vocabularies and others, with and without spaces between them."""
    chosen = random.Random(seed)
    unknown = ("Qx", "🙂", "zzz")
    return [
        "".join(
            chosen.choice((*WORDS, *unknown)) + chosen.choice(LINKS)
            for _ in range(chosen.randint(1, longest))
        )
        for _ in range(count)
    ]


def word_piece() -> Tokenizer:
    pieces = (
        "ada love ##lace lived in london jump ##ing na ##ive zo ##e , - ' s . u 東 京 ##s".split()
    )
    ids = {piece: i for i, piece in enumerate((*SPECIAL, *pieces))}
    made = Tokenizer(models.WordPiece(ids, unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer(lowercase=True)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return made


def word_level() -> Tokenizer:
    ids = {t: i for i, t in enumerate((*SPECIAL, *WORDS[:6], ",", "-", "s"))}
    made = Tokenizer(models.WordLevel(ids, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    return made


def byte_pairs() -> Tokenizer:
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    made.train_from_iterator(sentences(1, 200, 6), trainer)
    return made


def unigram() -> Tokenizer:
    made = Tokenizer(models.Unigram())
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=60, special_tokens=list(SPECIAL), unk_token="[UNK]", show_progress=False
    )
    made.train_from_iterator([" ".join(WORDS)] * 20, trainer)
    return made


TOKENIZERS = {"WordPiece": word_piece, "words": word_level, "bytes": byte_pairs, "pieces": unigram}


@dataclass(frozen=True, slots=True, kw_only=True)
class Tagger:
    """A tokenizer and a model of some tags, as transformers' pipeline and as ours."""

    theirs: Any
    tokenizer: Tokenizer
    manifest: Manifest

    def both(self, text: str, strategy: str, seed: int) -> tuple[list[Any], list[Any]]:
        """Return our entities and the pipeline's, with their scores, for the same logits."""
        encoding = self.tokenizer.encode(text)
        windows = [encoding, *encoding.overflowing]
        chosen = np.random.default_rng(seed)
        width = len(self.manifest.labels)
        # One logit for each character and tag: overlapping windows agree, as those of a good model do, or nearly.
        shared = chosen.normal(size=(len(text) + 1, width)) * 3
        logits = [
            (shared[[start for start, _ in w.offsets]] + chosen.normal(size=(len(w), width)) / 4)
            .astype(np.float32)
            for w in windows
        ]  # fmt: skip
        context = Context(
            manifest=self.manifest,
            parameters={"aggregation": strategy},
            tokenizer=self.tokenizer,
        )
        ours = postprocess(text, windows, logits, context)["entities"]
        stride = {"stride": stride_of(TOKENS)} if len(windows) > 1 else {}
        before, _, after = self.theirs._sanitize_parameters(aggregation_strategy=strategy, **stride)
        chunks = list(self.theirs.preprocess(text, **before))
        assert len(chunks) == len(windows)
        right = self.theirs.postprocess(
            [{**c, "logits": padded(own, c)} for c, own in zip(chunks, logits, strict=True)],
            **after,
        )
        key = "entity" if strategy == "none" else "entity_group"
        return (
            [(e["label"], e["start"], e["end"], pytest.approx(e["score"])) for e in ours],
            [(e[key], e["start"], e["end"], float(e["score"])) for e in right],
        )


def padded(logits: Any, chunk: dict[str, Any]) -> Any:
    """Return the logits [1, tokens, tags] of a window that the pipeline has padded."""
    import torch

    found = torch.zeros(1, chunk["input_ids"].shape[1], logits.shape[1])
    found[0, : len(logits)] = torch.from_numpy(logits)
    return found


def tagger(folder: Path, made: Tokenizer, tags: Sequence[str], **settings: Any) -> Tagger:
    from transformers import (
        BertConfig,
        BertForTokenClassification,
        PreTrainedTokenizerFast,
        TokenClassificationPipeline,
    )

    ends = [(name, made.token_to_id(name)) for name in SPECIAL[2:]]
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B [SEP]", special_tokens=ends
    )
    made.add_special_tokens(list(SPECIAL))
    path = folder / "tokenizer.json"
    made.save(str(path))
    settings = {"unk_token": "[UNK]", **settings}
    config = BertConfig(
        vocab_size=made.get_vocab_size(),
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=1,
        intermediate_size=8,
        id2label=dict(enumerate(tags)),
        label2id={tag: i for i, tag in enumerate(tags)},
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_file=str(path),
        model_max_length=TOKENS,
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        **{key: value for key, value in settings.items() if value},
    )
    facts = ModelFacts(
        labels=tuple(tags),
        config={},
        tokenizer_config={"tokenizer_class": "PreTrainedTokenizerFast", **settings},
        vocabulary=made.get_vocab(),
    )
    return Tagger(
        theirs=TokenClassificationPipeline(
            model=BertForTokenClassification(config), tokenizer=tokenizer
        ),
        tokenizer=open_tokenizer(path, TOKENS, windows=True),
        manifest=Manifest(
            model="m",
            task=Task.TOKEN_CLASSIFICATION,
            tier=Tier.CPU,
            precision="fp32",
            recipe="r",
            max_tokens=TOKENS,
            labels=tuple(tags),
            details=details(facts),
            toolchain={},
        ),
    )


@pytest.mark.filterwarnings("ignore:Tokenizer does not support real words")
@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("kind", TOKENIZERS)
def test_entities_of_any_tags_are_those_of_the_pipeline(
    tmp_path: Path, kind: str, scheme: str
) -> None:
    """Texts of one window and of several, by every strategy; listed token by token only where there is one window."""
    made = tagger(tmp_path, TOKENIZERS[kind](), SCHEMES[scheme])
    found = 0
    for number, text in enumerate([*sentences(2, 12, 4), *sentences(3, 6, 30)]):
        long = bool(made.tokenizer.encode(text).overflowing)
        for strategy in ("first", "average", "max", "simple", *(() if long else ("none",))):
            ours, theirs = made.both(text, strategy, number)
            assert theirs == ours, (text, strategy)
            found += len(ours)
    assert found > 100


@pytest.mark.filterwarnings("ignore:Tokenizer does not support real words")
def test_without_a_token_for_unknown_words_these_join_others(tmp_path: Path) -> None:
    """transformers asks its config, and not the tokenizer's file, which of the tokens is the unknown one."""
    made = tagger(tmp_path, word_level(), SCHEMES["plain"], unk_token=None)
    assert made.manifest.details == {"unknown_id": -1}
    for number, text in enumerate(sentences(4, 20, 6)):
        ours, theirs = made.both(text, "first", number)
        assert theirs == ours


@pytest.mark.parametrize(
    ("tags", "row", "right"),
    [
        ("plain", ("PER", "PER", "O", "LOC", "PER"), [(0, 3, "PER"), (6, 7, "LOC"), (8, 9, "PER")]),
        ("BIO", ("B-PER", "B-PER", "I-PER", "I-LOC", "O"), [(0, 1, "PER"), (2, 5, "PER"), (6, 7, "LOC")]),
        ("IOB1", ("I-PER", "I-PER", "B-PER", "O", "I-LOC"), [(0, 3, "PER"), (4, 5, "PER"), (8, 9, "LOC")]),
        ("BIOES", ("B-PER", "I-PER", "E-PER", "S-LOC", "O"), [(0, 3, "PER"), (4, 5, "PER"), (6, 7, "LOC")]),
        ("mixed", ("O", "I-O", "date-time", "B-date-time", "O"), [(4, 5, "time"), (6, 7, "date-time")]),
    ],
)  # fmt: skip
def test_tags_of_a_row_make_the_entities_that_the_model_makes_of_them(
    tmp_path: Path, tags: str, row: Sequence[str], right: list[tuple[int, int, str]]
) -> None:
    task = TASKS[Task.TOKEN_CLASSIFICATION]
    path = write_rows(tmp_path / "rows.jsonl", [{"tokens": list("abcde"), "tags": list(row)}])
    ((only,), problems) = read_rows(path, task.rows, SCHEMES[tags])
    assert (only.answer, problems) == (frozenset(right), [])


def test_places_in_a_row_are_met_by_a_model_that_tags_the_ends_of_entities(tmp_path: Path) -> None:
    """A model that answers `Ada` and `Lovelace` of B-PER E-PER has found `Ada Lovelace`; half of it is not found."""
    task = TASKS[Task.TOKEN_CLASSIFICATION]
    entity = {"start": 0, "end": 12, "label": "PER"}
    rows = [{"text": "Ada Lovelace rang.", "entities": [entity]}]
    path = write_rows(tmp_path / "rows.jsonl", rows)
    found, problems = read_rows(path, task.rows, SCHEMES["BIOES"])
    assert not problems
    halves = [{"start": 0, "end": 3, "label": "PER"}, {"start": 4, "end": 12, "label": "PER"}]
    for entities, f1 in ((halves, 1.0), (halves[:1], 0.0), ([{**halves[0], "label": "LOC"}], 0.0)):
        outputs = [[{"entities": entities}]]
        figures: Any = task.comparison.measure(outputs, outputs, found)
        assert figures.metric_built == f1
    plainly, _ = read_rows(path, task.rows, SCHEMES["BIO"])
    figures = task.comparison.measure([[{"entities": halves}]], [[{"entities": halves}]], plainly)
    assert figures.metric_built == 0
