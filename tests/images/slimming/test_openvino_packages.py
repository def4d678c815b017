"""The image of an artefact that runs on OpenVINO has its packages in place of ONNX Runtime's, all else alike."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from build.workspace.runtimes import openvino_version
from contracts.manifest import MANIFEST, RUNTIME, read_manifest
from contracts.tasks import Runtime, Tier
from images.base import Base
from images.image import LOCK
from images.runtime import runtime_of
from images.slimming.pieces import Slimming
from images.staging import ROOT, model_files
from tests.fixtures.families import ON_OPENVINO, Builds
from tests.fixtures.models.tiny import artefact
from tests.images.slimming.answering import assert_answered, contents_of


def on_openvino(folder: Path) -> Path:
    manifest = replace(read_manifest(folder), details={RUNTIME: Runtime.OPENVINO.value}).sealed()
    (folder / MANIFEST).write_text(manifest.to_json(), "utf-8")
    return folder


def pins(lock: Path | bytes) -> set[str]:
    assert isinstance(lock, Path)
    return set(re.findall(r"^[\w-]+==\S+", lock.read_text("utf-8"), re.MULTILINE))


def test_the_lock_and_the_table_beside_it_are_all_that_differ(tmp_path: Path) -> None:
    folder = artefact(tmp_path / "cpu")
    first = model_files(Tier.CPU, folder)
    second = model_files(Tier.CPU, on_openvino(folder))
    assert first.keys() == second.keys()
    differing = {name for name in first if first[name] != second[name]}
    assert differing == {LOCK, "unused.txt"}
    assert second["unused.txt"] == ROOT / "functions/cpu/openvino/unused.txt"


def test_what_both_have_is_the_same_version(tmp_path: Path) -> None:
    folder = artefact(tmp_path / "cpu")
    first = pins(model_files(Tier.CPU, folder)[LOCK])
    second = pins(model_files(Tier.CPU, on_openvino(folder))[LOCK])
    assert {pin.split("==")[0] for pin in second - first} == {"openvino"}
    # What only ONNX Runtime imports, and the templates of models that write.
    assert {pin.split("==")[0] for pin in first - second} == {
        *("onnxruntime", "flatbuffers", "packaging"),
        *("jinja2", "markupsafe"),
    }


def test_it_is_slimmed_of_all_devices_but_processors() -> None:
    table = (ROOT / "functions/cpu/openvino/unused.txt").read_text("utf-8").split()
    assert "openvino/tools" in table
    for plugin in ("gpu", "npu"):
        assert f"openvino/libs/libopenvino_intel_{plugin}_plugin.so" in table
    assert not [line for line in table if "intel_cpu_plugin" in line or "onnx_frontend" in line]


@pytest.mark.foreign
@pytest.mark.skipif(not openvino_version(), reason="`make openvino`")
def test_every_row_is_answered_as_from_the_source_tree(
    base: Base, work: Path, tmp_path: Path
) -> None:
    builds = Builds(tmp_path / "builds")
    builds.folder.mkdir()
    contents = contents_of(builds[ON_OPENVINO].artefact)
    runtime = runtime_of(contents, base, work, tmp_path / "blobs", Slimming())
    assert_answered(ON_OPENVINO, builds, runtime, tmp_path / "image", tmp_path)
