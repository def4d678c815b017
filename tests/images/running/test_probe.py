"""An image is asked its sealed probe by its own function, and refused for another answer or none."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from contracts.problems import Code
from contracts.tasks import Tier
from functions.inference.probe import PROBE
from images.errors import ImageError
from images.layer import Entry, Layer, write_layer
from images.oci.layout import Settings, write_layout
from images.oci.reading import Layout, read_layout
from images.running.blocks import BLOCK
from images.running.function import layers_of
from images.running.probe import MODEL_EVENT, Probed, ask, event_of, problem_of
from images.staging import model_files
from tests.fixtures.models.tiny import Tiny, artefact, seal
from tests.fixtures.paths import ROOT

pytestmark = pytest.mark.build


def with_layer(layout: Layout, files: Mapping[str, Path | bytes], folder: Path) -> Layout:
    """Return the image with files on top in its working directory."""
    entries = [Entry(path=f"var/task/{path}", source=source) for path, source in files.items()]
    upper = write_layer(entries, folder / "blobs")
    layers: list[tuple[str, Layer]] = [("own", layer) for layer in (*layers_of(layout), upper)]
    write_layout(folder / "image", "changed", layers, Settings.read(layout.config["config"]))
    return read_layout(folder / "image")


def asked(layout: Layout, rie: Path, work: Path) -> Probed:
    event = event_of(Tier.CPU)
    return ask(layout, name="shop", event=event, emulator=lambda: rie, work=work)


def refusal(layout: Layout, rie: Path, work: Path) -> str:
    with pytest.raises(ImageError) as caught:
        asked(layout, rie, work)
    [problem] = caught.value.problems
    assert problem.code is Code.IMAGE_PROBE
    assert list(work.iterdir()) == []
    return problem.message


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "work").mkdir()
    return tmp_path / "work"


def test_the_image_of_a_model_answers(layout: Layout, rie: Path, place: Path) -> None:
    found = asked(layout, rie, place)
    assert found.outcome == "answered"
    assert list(place.iterdir()) == []
    # Of the interpreter and the libraries much is read, and of the packages' notices and sources nothing.
    assert found.blocks
    assert 0.2 < found.blocks.share < 0.8
    files = (member for layer in layout.layers for member in layer.members if member.isfile())
    least = sum(member.size for member in files) // BLOCK
    assert least <= found.blocks.of <= least * 1.1


def test_a_model_that_answers_unlike_it_was_sealed_is_refused(
    layout: Layout, rie: Path, place: Path, tmp_path: Path
) -> None:
    folder = artefact(tmp_path / "other")
    text = (folder / PROBE).read_text("utf-8").replace('"bad"', '"good"')
    (folder / PROBE).write_text(text, "utf-8")
    files = {
        path: source
        for path, source in model_files(Tier.CPU, seal(folder, Tiny())).items()
        if path.startswith("model/")
    }
    said = refusal(with_layer(layout, files, tmp_path), rie, place)
    assert "is answered otherwise than when the model was built" in said


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"version": "1"}, ""),
        ({"statusCode": 200, "body": "{}"}, ""),
        ({"statusCode": 500, "body": "{}"}, "the function does not start: {'statusCode': 500"),
        ({"problem": {"detail": "the probe is answered otherwise"}}, "the probe is answered"),
        ({"errorMessage": "No module named x"}, "the function does not start: No module named x"),
        ({}, "the function does not start: {}"),
    ],
)
def test_each_answer_has_its_problem(document: dict[str, object], said: str) -> None:
    found = problem_of(document)
    assert found.startswith(said)
    assert bool(found) == bool(said)


def test_the_event_is_the_one_that_the_function_answers() -> None:
    assert json.loads(event_of(Tier.CPU)) == MODEL_EVENT
    # It cannot be imported without a model.
    source = (ROOT / "functions/cpu/handler.py").read_text("utf-8")
    assert f"PROBE_EVENT = {json.dumps(MODEL_EVENT).replace('true', 'True')}" in source
