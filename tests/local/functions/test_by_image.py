"""Functions run from made images in the local cloud as on Lambda: isolated, limited, as many copies as requests."""

import os
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from images.layer import Entry, write_layer
from images.oci.layout import BLOBS, write_layout
from images.oci.reading import Layout, read_layout
from images.running.choice import UNPACKED, Choice, Isolating
from images.running.function import layers_of
from images.running.process import started_by
from tests.fixtures.cpu_function import run
from tests.images.running.functions import (
    FOLDERS,
    HANDLER,
    check_isolated,
    does_as_told,
    gone,
)

# The image is made once for the tests of this group.
pytestmark = pytest.mark.build

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="groups with limits are root's")
INIT_S = 1.0
# It does as it is told, after an INIT of as many seconds as its configuration says.
MODULE = f"""
import os, time, urllib.error, urllib.request
time.sleep(float(os.environ.get("INIT_SECONDS", "0")))
{HANDLER}
do_as_told = handler

def handler(event, context):
    answer = do_as_told(event, context)
    try:
        urllib.request.urlopen(os.environ["AWS_ENDPOINT_URL"], timeout=5)
    except urllib.error.HTTPError:
        pass
    left_s = context.get_remaining_time_in_millis() / 1e3
    return {{**answer, "namespace": os.readlink("/proc/self/ns/pid"), "remaining_s": left_s}}
"""


@pytest.fixture(scope="module")
def told(cpu_image: Path, tmp_path_factory: pytest.TempPathFactory) -> Layout:
    """The image of the CPU function with the start of one that does as it is told, and which it lacks."""
    folder = tmp_path_factory.mktemp("told")
    layout = read_layout(cpu_image)
    layers = [("own", layer) for layer in layers_of(layout)]
    write_layout(folder / "told", "told", layers, does_as_told(layout.config).settings)
    return read_layout(folder / "told")


class Told:
    """A local cloud with images, what it has reported, and the functions that are made of them."""

    def __init__(self, cloud: Any, lines: list[str]) -> None:
        from tests.fixtures.local_cloud_client import LocalCloudClient

        self.client, self.lines = LocalCloudClient(cloud), lines

    def push(self, name: str, layout: Layout) -> None:
        """Put an image into the cloud's registry, as a deployment finds it there."""
        digest = str(layout.descriptors[0]["digest"])
        registry = self.client.client("ecr")
        registry.create_repository(repositoryName=name)
        manifest = (layout.folder / BLOBS / digest.removeprefix("sha256:")).read_text("utf-8")
        registry.put_image(
            repositoryName=name, imageManifest=manifest, imageTag="one", imageDigest=digest
        )

    def function(
        self,
        name: str,
        image: str = "told",
        memory_mb: int = 1769,
        timeout_s: int = 20,
        **variables: str,
    ) -> str:
        """Make a function of an image that was pushed; gives its name back."""
        (pushed,) = self.client.client("ecr").list_images(repositoryName=image)["imageIds"]
        uri = f"123456789012.dkr.ecr.us-east-1.amazonaws.com/{image}@{pushed['imageDigest']}"
        self.client.client("lambda").create_function(
            FunctionName=name,
            PackageType="Image",
            Role=self.client.role(),
            Code={"ImageUri": uri},
            MemorySize=memory_mb,
            Timeout=timeout_s,
            Environment={"Variables": variables},
        )
        return name

    def invoke(self, name: str, **event: Any) -> tuple[Any, str | None]:
        return self.client.invoke(name, event)

    def said(self, name: str) -> list[str]:
        """Return what was reported of a function, without times."""
        found = [
            line.removeprefix(f"{name}, ") for line in self.lines if line.startswith(f"{name}, ")
        ]
        return [re.sub(r"\d+ ms", "n ms", line) for line in found]


def groups() -> set[str]:
    return {str(path) for path in Path("/sys/fs/cgroup").rglob("turnout-*") if path.is_dir()}


@pytest.fixture(scope="module")
def cloud(
    told: Layout, cpu_image: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Told]:
    """Yield a local cloud with both images; behind it, nothing of its copies is left."""
    # Imports moto, which takes seconds; other processes of this group do without.
    from local.cloud import Cloud

    folder = tmp_path_factory.mktemp("cloud")
    module = Entry(path="var/task/does_as_told.py", source=MODULE.encode())
    images = {
        "told": (told, [write_layer([module], folder / "blobs")]),
        "intents": (read_layout(cpu_image), []),
    }
    before, lines = groups(), list[str]()
    isolating = Isolating(work=folder / "work", choice=Choice.KERNEL)
    with Cloud(folder / "state", isolating=isolating, init_s=INIT_S, report=lines.append) as cloud:
        made = Told(cloud, lines)
        for name, (layout, above) in images.items():
            cloud.functions.add_image(name, layout, above)
            made.push(name, layout)
        yield made
        copies = {process.pid for process in cloud.processes() if process.pid != os.getpid()}
        everything = copies | {child for copy in copies for child in started_by(copy)}
        assert len(everything) > len(copies) > 1
        assert len(list((folder / "work").glob(f"{UNPACKED}*"))) == len(images)
    assert gone(everything)
    assert groups() == before
    assert list((folder / "work").glob(f"{UNPACKED}*")) == []


def test_a_function_sees_its_image_its_configuration_and_the_cloud(cloud: Told) -> None:
    seen, error = cloud.invoke(cloud.function("told", WANTED="yes"), paths=FOLDERS)
    assert error is None
    check_isolated(seen)
    environment = seen["environment"]
    assert environment["WANTED"] == "yes"
    assert environment["_HANDLER"] == "does_as_told.handler"
    # A name would need a file of the image, which not every one has.
    assert environment["AWS_ENDPOINT_URL"].startswith("http://127.0.0.1:")
    assert cloud.said("told") == ["copy 1: started, INIT n ms"]


def test_requests_at_once_get_copies_and_the_next_ones_find_them_warm(cloud: Told) -> None:
    name = cloud.function("many")
    with ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(cloud.invoke, name, sleep_s=1.0) for _ in range(2)]
        namespaces = {one.result()[0]["namespace"] for one in asked}
    assert len(namespaces) == 2
    assert cloud.invoke(name)[0]["namespace"] in namespaces
    assert sorted(cloud.said(name)) == [f"copy {n}: started, INIT n ms" for n in (1, 2)]


def test_a_copy_that_ends_or_hangs_is_reported_and_another_one_started(cloud: Told) -> None:
    name = cloud.function("bad", timeout_s=1)
    ended, late = cloud.invoke(name, exit=3), cloud.invoke(name, sleep_s=5)
    messages = [
        (error, answer["errorType"], answer["errorMessage"].split("Error: ")[1])
        for answer, error in (ended, late)
    ]
    assert messages == [
        ("Unhandled", "Runtime.ExitError", "Runtime exited with error: exit status 3"),
        ("Unhandled", "Sandbox.Timedout", "Task timed out after 1.00 seconds"),
    ]
    assert cloud.invoke(name)[1] is None
    assert cloud.said(name) == [
        "copy 1: started, INIT n ms",
        "copy 1: ended: Runtime exited with error: exit status 3",
        "copy 2: started, INIT n ms",
        "copy 2: ended: Task timed out after 1.00 seconds",
        "copy 3: started, INIT n ms",
    ]


@root_only
def test_a_copy_that_takes_more_memory_than_its_function_has_is_killed(cloud: Told) -> None:
    name = cloud.function("greedy", memory_mb=512)
    answer, _ = cloud.invoke(name, use_mb=640)
    assert answer["errorType"] == "Runtime.ExitError"
    assert answer["errorMessage"].endswith("signal: killed")
    assert cloud.invoke(name, use_mb=16)[1] is None


def test_init_that_takes_too_long_is_cut_off_and_runs_within_the_timeout(cloud: Told) -> None:
    slow = cloud.function("slow", timeout_s=20, INIT_SECONDS=str(INIT_S + 0.5))
    answer, error = cloud.invoke(slow)
    assert error is None
    assert answer["remaining_s"] < 20 - INIT_S
    cut = "copy 1: INIT took more than 1 s and was cut off; it runs again within the request's timeout"
    assert cloud.said(slow) == [cut, "copy 1: started, INIT n ms"]
    never = cloud.function("never", timeout_s=1, INIT_SECONDS="60")
    answer, error = cloud.invoke(never)
    assert (error, answer["errorType"]) == ("Unhandled", "Sandbox.Timedout")
    assert cloud.said(never) == [cut, "copy 1: ended: Task timed out after 1.00 seconds"]


def test_a_model_answers_from_its_image_as_from_its_artefact(cloud: Told, work: Path) -> None:
    events: list[dict[str, Any]] = [
        {"inputs": ["lovely"]},
        {"inputs": ["awful", "fine \U0001f600"], "parameters": {"top_k": 2}},
        {"inputs": ["broken"]},
        {"inputs": []},
        {"inputs": ["a"], "parameters": {"none_such": 1}},
        {"inputs": ["a"] * 3},
        {"probe": True},
    ]
    name = cloud.function("intents", image="intents", TURNOUT_MAX_INPUTS="2")
    found = [without_time(cloud.invoke(name, **event)[0]) for event in events]
    expected = run(work / "artefact", *events, TURNOUT_MAX_INPUTS="2").answers
    assert found == [without_time(answer) for answer in expected]
    assert [sorted(answer)[0] for answer in found].count("problem") == 4


def without_time(answer: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in answer.items() if key != "elapsed_ms"}
