"""A source that is misread does not ship: its own library answers otherwise in full precision; the cause is named."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, normalizers, processors

from build.errors import ReadingDiffers
from build.evaluation.rows import Row
from build.families.registry import family_of
from build.sources.source import TransformersSource
from build.workspace.progress import silent
from contracts.tasks import Task
from tests.build.reading.read_source import Change, Read, read
from tests.fixtures.models.tiny_bert import classifier, encoder, texts

PAIRS = [
    {"text": one, "text_pair": other}
    for one, other in zip(texts(24), [*texts(24)[5:], *texts(24)[:5]], strict=True)
]
# More words than the model reads.
LONG = [{"text": " ".join(texts(24)[i : i + 12])} for i in range(6)]


@pytest.fixture(scope="module")
def classified(tmp_path_factory: pytest.TempPathFactory) -> Read:
    rows = [*({"text": text} for text in texts(24)), *PAIRS, *LONG]
    return read(tmp_path_factory.mktemp("c"), classifier, Task.TEXT_CLASSIFICATION, rows)


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Read:
    rows = [{"text": text} for text in texts(12)]
    return read(tmp_path_factory.mktemp("e"), encoder, Task.FEATURE_EXTRACTION, rows)


def test_a_sentence_model_in_a_folder_of_its_own_is_read_as_by_its_library(tmp_path: Path) -> None:
    def older(folder: Path) -> Path:
        """Save a model as sentence-transformers did before its second version."""
        encoder(folder)
        modules = json.loads((folder / "modules.json").read_text("utf-8"))
        modules[0]["path"] = "0_BERT"
        (folder / "modules.json").write_text(json.dumps(modules), "utf-8")
        (folder / "0_BERT").mkdir()
        for path in [path for path in folder.iterdir() if path.is_file()]:
            if path.name != "modules.json":
                path.rename(folder / "0_BERT" / path.name)
        limit = {"max_seq_length": 8, "do_lower_case": True}
        (folder / "0_BERT/sentence_distilbert_config.json").write_text(json.dumps(limit), "utf-8")
        return folder

    rows = [{"text": text.title()} for text in texts(12)]
    found = read(tmp_path / "read", older, Task.FEATURE_EXTRACTION, rows)
    assert found.step.source.max_tokens == 8
    assert found.check(tmp_path / "checked", Change()).rows == len(rows)


def with_tokenizer(change: Callable[[Any], None]) -> Callable[[Path, Path], Path]:
    """Return a change of the tokenizer that is served."""

    def changed(parts: Path, folder: Path) -> Path:
        folder.mkdir(parents=True)
        for path in parts.iterdir():
            (folder / path.name).write_bytes(path.read_bytes())
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        change(tokenizer)
        tokenizer.save(str(folder / "tokenizer.json"))
        return folder

    return changed


def without_special_tokens(tokenizer: Any) -> None:
    tokenizer.post_processor = processors.TemplateProcessing(single="$A", pair="$A $B")


def without_types(tokenizer: Any) -> None:
    names = ("[CLS]", "[SEP]")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B [SEP]",
        special_tokens=[(name, tokenizer.token_to_id(name)) for name in names],
    )


def cut_on_the_left(tokenizer: Any) -> None:
    tokenizer.enable_truncation(32, direction="left")


def replacing_words(tokenizer: Any) -> None:
    tokenizer.normalizer = normalizers.Replace("film", "plot")


def test_every_row_is_answered_as_by_the_library(
    classified: Read, embedded: Read, tmp_path: Path
) -> None:
    for name, found in (("one", classified), ("other", embedded)):
        result = found.check(tmp_path / name, Change())
        assert (result.rows, result.near_ties) == (len(found.step.rows), 0)
        assert result.libraries["transformers"].startswith("5.")
        assert 0 < result.apart < 0.5


SWAPPED = Change(source=lambda source: replace(source, labels=tuple(reversed(source.labels))))
SHORTER = Change(source=lambda source: replace(source, max_tokens=20))
# More than there are positions, so that the graph cannot be run.
LONGER = Change(source=lambda source: replace(source, max_tokens=40))
SIGMOID = Change(source=lambda source: replace(source, details={"multi_label": True}))


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        (SWAPPED, "`id2label`"),
        (SHORTER, "`model_max_length`"),
        (LONGER, "`model_max_length`"),
        (SIGMOID, "`problem_type`"),
        (Change(parts=with_tokenizer(without_special_tokens)), "special tokens"),
        (Change(parts=with_tokenizer(without_types)), "`model_input_names`"),
        (Change(parts=with_tokenizer(cut_on_the_left)), "`truncation_side`"),
        (Change(parts=with_tokenizer(replacing_words)), "the tokenizer"),
    ],
    ids=[
        "labels",
        "length",
        "no such position",
        "activation",
        "special tokens",
        "token types",
        "side",
        "words",
    ],
)
def test_a_misread_setting_is_named_with_the_first_row_and_both_answers(
    classified: Read, tmp_path: Path, change: Change, cause: str
) -> None:
    with pytest.raises(ReadingDiffers) as caught:
        classified.check(tmp_path, change)
    message = str(caught.value)
    likely = next(line for line in message.splitlines() if "likely:" in line)
    assert cause in likely, message
    assert caught.value.code == "reading_differs"
    assert message.startswith("tiny cpu: in full precision row ")
    assert " unlike by transformers 5." in message
    assert "  its library: [{" in message
    assert "  here: [{" in message


def test_the_row_that_is_named_is_the_first_that_differs(classified: Read, tmp_path: Path) -> None:
    with pytest.raises(ReadingDiffers, match=r"row 25 of 54 .*") as caught:
        # Single texts have no second part, so the first pair is the first to differ.
        classified.check(tmp_path, Change(parts=with_tokenizer(without_types)))
    assert json.dumps(PAIRS[0]["text_pair"]) in str(caught.value)


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        (with_tokenizer(replacing_words), "the tokenizer"),
        (with_tokenizer(without_special_tokens), "special tokens"),
    ],
)
def test_vectors_of_other_tokens_are_caught(
    embedded: Read, tmp_path: Path, change: Callable[[Path, Path], Path], cause: str
) -> None:
    with pytest.raises(ReadingDiffers, match=cause):
        embedded.check(tmp_path, Change(parts=change))


@pytest.mark.parametrize(
    ("pooling", "cause"),
    [
        ({"modes": "cls"}, "1_Pooling"),
        ({"modes": "cls+mean"}, "1_Pooling"),
        ({"normalize": False}, "a Normalize module"),
    ],
)
def test_pooling_that_is_ignored_is_caught(
    embedded: Read, tmp_path: Path, pooling: dict[str, Any], cause: str
) -> None:
    source = embedded.step.source
    assert isinstance(source, TransformersSource)
    assert source.pooling
    family = family_of(source)
    misread = replace(source, pooling=replace(source.pooling, **pooling))
    for name in ("prepared", "parts"):
        (tmp_path / name).mkdir()
    family.prepare(misread, tmp_path / "prepared", silent)
    recipe = family.recipes(misread, embedded.step.tier, False)[0]
    rows: Sequence[Row] = embedded.step.rows
    family.make(recipe, misread, tmp_path / "prepared", rows, tmp_path / "parts")
    found = replace(embedded, parts=tmp_path / "parts")
    with pytest.raises(ReadingDiffers, match=cause):
        found.check(tmp_path / "made", Change())
