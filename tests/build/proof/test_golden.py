"""Golden rows: sealed beside the artefact that they prove and not in it, and read only if they are its own."""

import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest

from build.kernels.libraries import copy_libraries
from build.proof.golden import evidence_path, golden_path, read_golden
from build.proof.replay import replay
from contracts.manifest import MODEL, read_manifest
from tests.fixtures.models.golden import golden, sealed
from tests.fixtures.models.tiny import Tiny, artefact, seal
from tests.fixtures.problems import assert_names, raises

TEXTS = ("awful", "lovely", "fine plot", "fine fine lovely", "nothing of it")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return golden(artefact(tmp_path / "tiny/cpu"), *TEXTS)


def test_they_lie_outside_of_the_folder_that_is_deployed(folder: Path) -> None:
    assert golden_path(folder) == folder.parent / "evidence/cpu/golden.jsonl"
    assert [row.request.inputs for row in read_golden(folder)] == [(text,) for text in TEXTS]


def test_rows_of_another_artefact_are_noticed(folder: Path) -> None:
    labels = ("so-so", "good", "bad")
    other = golden(artefact(folder.parents[1] / "other/cpu", Tiny(labels=labels)), *TEXTS)
    shutil.copyfile(golden_path(other), golden_path(folder))
    broken = replay("tiny cpu", folder).broken
    assert_names(broken, (golden_path(folder), "not the file that was sealed"))
    # With its evidence, which has the seal, the file still is that of another artefact.
    shutil.copyfile(evidence_path(other), evidence_path(folder))
    broken = replay("tiny cpu", folder).broken
    assert_names(broken, (evidence_path(folder), "another artefact", folder))


def test_others_leave_the_version_of_the_artefact_as_it_is(folder: Path) -> None:
    version = read_manifest(folder).version
    found = replay("tiny cpu", golden(folder, "fine", "awful plot"))
    assert (found.version, found.rows, found.holds) == (version, 2, True)


def test_an_artefact_of_the_format_that_held_them_has_to_be_built_again(folder: Path) -> None:
    path = folder / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), "schema": 1}), "utf-8")
    broken = replay("tiny cpu", folder).broken
    assert_names(broken, (path, "version 1", "none of your rows", "build the model again"))


@pytest.mark.parametrize(
    "text", ["", '{"inputs": ["a"], "parameters": {}, "outputs": []}\n', "[\n"]
)
def test_an_artefact_without_answers_of_its_own_has_to_be_built_again(
    tmp_path: Path, text: str
) -> None:
    folder = golden(artefact(tmp_path / "cpu"), *TEXTS)
    golden_path(folder).write_text(text, "utf-8")
    with raises("artefact_broken", golden_path(folder), "build the model again"):
        read_golden(sealed(folder))


@pytest.mark.foreign
def test_answers_that_depend_on_their_neighbours_are_noticed_with_operators_of_our_own(
    tmp_path: Path,
) -> None:
    folder = artefact(tmp_path / "tiny/cpu")
    copy_libraries(folder)
    seal(folder, Tiny())
    assert replay("tiny cpu", golden(folder, *TEXTS)).holds
    model = onnx.load(folder / MODEL)
    # As a range that is taken over the whole batch would, or padding that is attended to.
    model.graph.node[-1].output[0] = "own"
    model.graph.node.extend(
        [
            onnx.helper.make_node("ReduceMax", ["own", "texts"], ["highest"]),
            onnx.helper.make_node("Add", ["own", "highest"], ["answer"]),
        ]
    )
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array([0]), "texts"))
    onnx.save(model, folder / MODEL)
    seal(folder, Tiny())
    found = replay("tiny cpu", golden(folder, *TEXTS))
    assert_names(found.broken, ("row", "among other texts than alone"))
    assert not found.holds


def test_texts_with_other_ends_of_lines_stay_one_row(tmp_path: Path) -> None:
    folder = golden(artefact(tmp_path / "cpu"), "fine\u2028plot", "awful\x85\x0bfilm")
    assert [row.request.inputs[0] for row in read_golden(folder)] == [
        "fine\u2028plot",
        "awful\x85\x0bfilm",
    ]
    assert replay("tiny cpu", folder).holds
