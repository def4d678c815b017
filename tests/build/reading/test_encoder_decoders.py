"""Models with an encoder and a decoder answer as their library does; a search that is misread is caught."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from build.errors import ReadingDiffers
from contracts.tasks import Task
from tests.build.reading.read_source import Change, Read, read
from tests.fixtures.models.encoder_decoders.bart import SEARCH, bart, bart_nli
from tests.fixtures.models.tiny_decoders import LINES, PROMPTS

TEXTS = (*LINES, *PROMPTS, "it is late")
LONG = " ".join(LINES * 4)


@pytest.fixture(scope="module")
def inferred(tmp_path_factory: pytest.TempPathFactory) -> Read:
    labels = ["a train", "a station, of all things", "the night"]
    rows = [{"text": text, "candidate_labels": labels} for text in (*TEXTS, LONG)]
    several = [{**row, "hypothesis_template": "About {}: yes."} for row in rows[:4]]
    place = tmp_path_factory.mktemp("nli")
    return read(place, bart_nli, Task.ZERO_SHOT_CLASSIFICATION, [*rows, *several])


def searching(folder: Path) -> Path:
    """Save a BART that searches with several beams."""
    path = bart(folder) / "generation_config.json"
    document = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps({**document, **SEARCH}), "utf-8")
    return folder


@pytest.fixture(scope="module")
def summarised(tmp_path_factory: pytest.TempPathFactory) -> Read:
    rows = [{"text": text} for text in (*TEXTS, LONG)]
    return read(tmp_path_factory.mktemp("b"), searching, Task.TEXT2TEXT_GENERATION, rows)


def test_labels_are_inferred_as_by_the_library(inferred: Read, tmp_path: Path) -> None:
    result = inferred.check(tmp_path, Change())
    assert (result.rows, result.near_ties) == (len(inferred.step.rows), 0)
    assert result.apart < 0.5


def test_pairs_and_single_texts_are_classified_together(tmp_path: Path) -> None:
    """A pair has more end tokens than a text, so that the library runs them apart."""
    texts = [{"text": text} for text in (*TEXTS, LONG)]
    pairs = [{"text": text, "text_pair": "it is late"} for text in (*TEXTS, LONG)]
    # An end token within a text is one as well.
    pairs.append({"text": "late</s>again", "text_pair": "</s>"})
    found = read(tmp_path / "read", bart_nli, Task.TEXT_CLASSIFICATION, [*texts, *pairs])
    assert found.check(tmp_path / "checked", Change()).apart < 0.5
    from contracts.prediction import PredictRequest
    from functions.inference.engine import Engine

    engine = Engine.load(tmp_path / "checked/sealed")
    requests = [row.request for row in found.step.rows]
    alone = [engine.predict(request).outputs[0] for request in requests]
    together = engine.predict(PredictRequest(inputs=tuple(r.inputs[0] for r in requests))).outputs
    for one, other in zip(alone, together, strict=True):
        assert one["label"] == other["label"]
        assert one["score"] == pytest.approx(other["score"], abs=1e-4)


def test_another_output_for_entailment_is_caught(inferred: Read, tmp_path: Path) -> None:
    swapped = {"entailment": 1, "contradiction": 0}
    with pytest.raises(ReadingDiffers):
        inferred.check(
            tmp_path, Change(source=lambda s: replace(s, details={**s.details, **swapped}))
        )


def test_texts_are_searched_for_as_by_the_library(summarised: Read, tmp_path: Path) -> None:
    result = summarised.check(tmp_path, Change())
    assert (result.rows, result.near_ties) == (len(summarised.step.rows), 0)


WITHOUT: tuple[Mapping[str, Any], ...] = (
    {"num_beams": 1},
    {"num_beams": 3},
    {"length_penalty": 1.0},
    {"early_stopping": False},
    {"no_repeat_ngram_size": 0},
    {"min_length": 0},
)


@pytest.mark.parametrize("changed", WITHOUT, ids=lambda each: str(each))
def test_a_setting_of_the_search_that_is_misread_is_caught(
    summarised: Read, tmp_path: Path, changed: Mapping[str, Any]
) -> None:
    def misread(source: Any) -> Any:
        wishes = {**source.details["generation_config"], **changed}
        return replace(source, details={**source.details, "generation_config": wishes})

    with pytest.raises(ReadingDiffers, match=r"likely: generation_config\.json"):
        summarised.check(tmp_path, Change(source=misread))
