"""Images that `turnout image` made are run by the local cloud as those that it builds, found by their digests."""

from pathlib import Path

import pytest

from images.layer import Entry, write_layer
from images.oci.layout import write_layout
from images.oci.reading import Layout, read_layout
from local.images import Image
from local.made_images import add
from local.python_environments import lock_of
from tests.fixtures.models.tiny import artefact
from tests.fixtures.problems import raises
from tests.images.layouts import BASE, SETTINGS
from tests.images.making import cpu, make


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory) -> Layout:
    folder = tmp_path_factory.mktemp("made")
    return read_layout(make(cpu(artefact(folder / "artefact")), folder).folder)


def test_the_projects_files_and_lock_are_unpacked_and_nothing_of_base_and_packages(
    layout: Layout, tmp_path: Path
) -> None:
    digest = add(layout, tmp_path)
    image = Image.load(tmp_path, digest.removeprefix("sha256:"))
    assert image.command == ("functions.cpu.handler.handler",)
    assert image.environment["TOKENIZERS_PARALLELISM"] == "false"
    assert {"PATH", "PYTHONPATH"} & set(image.environment) == set()
    assert lock_of(image.folder).name == "requirements.txt"
    found = {path.relative_to(image.root).as_posix() for path in Path(image.root).rglob("*")}
    assert {"var/task/model/model.onnx", "var/task/functions/cpu/handler.py"} <= found
    assert [path for path in found if "package" in path] == []
    assert not found & {entry.path for entry in BASE if not entry.is_folder}
    assert add(layout, tmp_path) == digest


def test_an_image_of_another_tool_is_refused(tmp_path: Path) -> None:
    foreign = tmp_path / "foreign"
    layers = [("RUN make", write_layer([Entry(path="a", source=b"a")], tmp_path / "blobs"))]
    write_layout(foreign, "foreign", layers, SETTINGS)
    with raises("local_cloud_failed", foreign, "`turnout image`"):
        add(read_layout(foreign), tmp_path / "store")
