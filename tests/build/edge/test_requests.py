"""What the script of an edge copy is asked: as the endpoint takes it, and refused in words."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from build.edge.copy import same
from build.edge.script import parameters, readme
from contracts.manifest import read_manifest
from contracts.tasks import Task
from tests.fixtures.edge_copies import built, refused, run, served
from tests.fixtures.models.tiny_bert import classifier as tiny_classifier
from tests.fixtures.models.tiny_bert import texts
from tests.fixtures.models.tiny_decoders import PROMPTS, llama, t5

TEXTS = texts(12)


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("classifier")
    rows = [{"text": text} for text in TEXTS]
    source = tiny_classifier(folder / "source")
    built(source, Task.TEXT_CLASSIFICATION, rows, folder / "out")
    return folder / "out"


def test_a_text_or_an_object_alone_is_a_list_of_one(classifier: Path) -> None:
    edge, pair = classifier / "tiny/edge", {"text": TEXTS[0], "text_pair": TEXTS[1]}
    for one in (TEXTS[2], pair):
        assert same(served(classifier, one), run(edge, json.dumps({"inputs": one})))


def test_the_readme_names_the_parameters_that_the_script_takes(classifier: Path) -> None:
    told = (classifier / "tiny/edge/README.txt").read_text("utf-8")
    assert 'a request: {"inputs": [...]}, without parameters' in told
    manifest = read_manifest(classifier / "tiny/cpu")
    assert parameters(manifest) == []
    assert parameters(replace(manifest, details={"multi_label": True})) == ["threshold"]
    asked_for = replace(manifest, task=Task.ZERO_SHOT_CLASSIFICATION)
    assert "parameters candidate_labels and hypothesis_template)" in readme(asked_for)


@pytest.mark.parametrize("make", [llama, t5])
def test_more_tokens_than_the_endpoint_writes_are_refused_in_words(
    make: Callable[[Path], Path], tmp_path: Path
) -> None:
    task = Task.TEXT2TEXT_GENERATION if make is t5 else Task.TEXT_GENERATION
    rows = [{"text": text} for text in PROMPTS]
    edge = built(make(tmp_path / make.__name__), task, rows, tmp_path / "out")
    most = read_manifest(tmp_path / "out/tiny/cpu").details["max_new_tokens"]
    for wish in (0, most + 1):
        line = json.dumps({"inputs": PROMPTS[0], "parameters": {"max_new_tokens": wish}})
        told = f"max_new_tokens is {wish}; this model writes from 1 to {most} tokens"
        assert told in refused(edge, line)
