"""An engine runs a made image under AWS's emulator with the limits that Lambda has."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from images.engine.engine import Engine
from images.layer import Entry, Layer, write_layer
from images.oci.layout import write_layout
from images.oci.reading import Layout, read_layout
from images.running.container import Container, load_image
from images.running.copy import Copy, NotStarted
from images.running.function import layers_of
from images.runtime_api import RuntimeApi, Work
from tests.fixtures.paths import ROOT
from tests.images.running.functions import (
    FOLDERS,
    HANDLER,
    MODULE,
    check_isolated,
    document,
    does_as_told,
    event,
)

pytestmark = pytest.mark.build


@pytest.fixture(scope="module")
def told_layout(layout: Layout, tmp_path_factory: pytest.TempPathFactory) -> Layout:
    """The image of the CPU function with one layer more: a function that does as it is told."""
    folder = tmp_path_factory.mktemp("told")
    handler = Entry(path=f"var/task/{MODULE}.py", source=HANDLER.encode())
    more = write_layer([handler], folder / "blobs")
    layers: list[tuple[str, Layer]] = [("own", layer) for layer in (*layers_of(layout), more)]
    write_layout(folder / "told", "told", layers, does_as_told(layout.config).settings)
    return read_layout(folder / "told")


@pytest.fixture(scope="module")
def container(told_layout: Layout, rie: Path, engine: Engine, work: Path) -> Iterator[Container]:
    tag = load_image(engine, "told", told_layout)
    yield Container(engine=engine, tag=tag, emulator=rie, folder=work)
    engine.run("rmi", "--force", tag)


def running(container: Container) -> list[str]:
    """Return the containers that an engine has of an image, running or ended."""
    listed = container.engine.run("ps", "--all", "--format", "{{.Image}}").split()
    return [image for image in listed if image == container.tag]


def test_a_function_sees_its_image_and_nothing_of_this_machine(
    container: Container, told_layout: Layout
) -> None:
    copy = Copy(container, does_as_told(told_layout.config))
    try:
        seen = document(copy.invoke(event(paths=FOLDERS)))
        assert running(container) == [container.tag]
    finally:
        copy.end()
    check_isolated(seen)
    assert copy.alive is False
    assert running(container) == []


def test_memory_and_the_share_of_a_processor_are_limited(
    container: Container, told_layout: Layout
) -> None:
    copy = Copy(container, does_as_told(told_layout.config, memory_mb=256))
    try:
        assert document(copy.invoke(event(spin_s=1)))["spent_s"] < 0.3
        killed = copy.invoke(event(use_mb=512))
        assert killed.status == 502
        assert json.loads(killed.body)["errorType"] == "Runtime.ExitError"
        assert document(copy.invoke(event()))
    finally:
        copy.end()


def test_an_image_that_is_loaded_is_not_loaded_again(
    container: Container, told_layout: Layout
) -> None:
    # Without its layers it could not be.
    gone = Layout(
        folder=told_layout.folder / "gone",
        index=told_layout.index,
        descriptors=told_layout.descriptors,
        manifest=told_layout.manifest,
        config=told_layout.config,
        layers=(),
    )
    assert load_image(container.engine, "told", gone) == container.tag


def test_a_container_that_does_not_begin_says_why(
    container: Container, told_layout: Layout
) -> None:
    missing = replace(container, tag="localhost/turnout/none:1")
    with pytest.raises(NotStarted, match="none"):
        Copy(missing, does_as_told(told_layout.config)).start()
    assert running(missing) == []


def test_a_function_takes_its_work_from_a_runtime_api_where_there_is_no_emulator(
    container: Container, told_layout: Layout, tmp_path: Path
) -> None:
    api = RuntimeApi()
    function = does_as_told(told_layout.config)
    function = replace(function, variables={"AWS_LAMBDA_RUNTIME_API": api.address})
    with (tmp_path / "log").open("wb") as output:
        process = replace(container, emulator=None).start(function, output=output)
    try:
        api.work.put(Work(request_id="1", payload=event(), deadline_ms=2**50, arn="arn"))
        answer = api.answers.get(timeout=60)
    finally:
        process.end()
        api.close()
    assert (answer.request_id, answer.error) == ("1", False)
    assert json.loads(answer.payload)["user"][:2] == [993, 990]
    assert running(container) == []


STARTED = """
import json, sys, time
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from images.engine.engine import find_engine
from images.running.container import Container
from images.running.copy import Copy
from tests.images.running.functions import does_as_told
folder, config, tag, rie = sys.argv[2:]
container = Container(engine=find_engine(Path(folder)), tag=tag, emulator=Path(rie), folder=Path(folder))
Copy(container, does_as_told(json.loads(config))).start()
print("started", flush=True)
time.sleep(600)
"""


def test_a_container_ends_with_a_process_that_was_killed(
    container: Container, told_layout: Layout, work: Path
) -> None:
    given = (ROOT, work, json.dumps(told_layout.config), container.tag, container.emulator)
    command = [sys.executable, "-c", STARTED, *map(str, given)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "started\n"
        assert running(container) == [container.tag]
        process.kill()
    deadline = time.monotonic() + 20
    while running(container) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert running(container) == []
