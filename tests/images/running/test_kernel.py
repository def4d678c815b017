"""The kernel runs a made image under AWS's emulator as Lambda does, for root and for everybody else."""

import json
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from contracts.tasks import Tier
from images.isolation.kernel import kernel_problem
from images.isolation.limits import Limits
from images.oci.layout import Settings
from images.oci.reading import Layout
from images.running.copy import Copy, NotStarted
from images.running.function import Function
from images.running.kernel import Kernel, limits_problem
from images.running.probe import event_of, start_problem
from images.running.server import FunctionServer
from tests.images.running.functions import (
    FOLDERS,
    check_isolated,
    document,
    does_as_told,
    event,
    post,
)

pytestmark = pytest.mark.build

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="groups with limits are root's")


@pytest.fixture
def kernel(root: Path, rie: Path) -> Kernel:
    assert kernel_problem(root) == ""
    return Kernel(root=root, emulator=rie, limited=os.geteuid() == 0)


@pytest.fixture
def told(kernel: Kernel, layout: Layout) -> Iterator[Copy]:
    """A copy of the function that does as it is told."""
    copy = Copy(kernel, does_as_told(layout.config))
    yield copy
    copy.end()


def test_a_function_sees_its_image_and_nothing_of_this_machine(told: Copy) -> None:
    seen = document(told.invoke(event(paths=FOLDERS)))
    check_isolated(seen)
    assert seen["root"] == sorted("bin dev etc lib lib64 opt proc root run sys tmp usr var".split())
    assert told.init_ms is not None
    assert told.init_ms > 0


def test_the_image_is_as_it_was_after_its_function_ran(told: Copy, root: Path) -> None:
    told.invoke(event(paths=FOLDERS))
    assert not list((root / "tmp").iterdir())
    assert not list((root / "dev").iterdir())
    assert not list((root / "proc").iterdir())


@root_only
def test_a_function_that_takes_more_memory_ends_and_starts_again(
    kernel: Kernel, layout: Layout
) -> None:
    copy = Copy(kernel, does_as_told(layout.config, memory_mb=128))
    try:
        assert document(copy.invoke(event(use_mb=16)))
        killed = copy.invoke(event(use_mb=256))
        assert killed.status == 502
        assert json.loads(killed.body)["errorType"] == "Runtime.ExitError"
        assert document(copy.invoke(event()))
    finally:
        copy.end()


@root_only
def test_a_function_gets_the_share_of_a_processor_that_its_memory_buys(
    kernel: Kernel, layout: Layout
) -> None:
    copy = Copy(kernel, does_as_told(layout.config, memory_mb=512))
    try:
        seen = document(copy.invoke(event(spin_s=1)))
    finally:
        copy.end()
    # 512 of 1,769 MB: 0.29 s of each second. What it did not use in a period before is lost.
    assert 0.01 < seen["spent_s"] < 0.45


@root_only
def test_nothing_is_left_of_a_copy_that_was_ended(kernel: Kernel, layout: Layout) -> None:
    def groups() -> set[str]:
        found = Path("/sys/fs/cgroup").rglob("turnout-*")
        return {str(path) for path in found if path.is_dir()}

    before = groups()
    copy = Copy(kernel, does_as_told(layout.config))
    copy.start()
    assert groups() > before
    process = copy.pid
    copy.end()
    assert not (groups() - before)
    assert not Path(f"/proc/{process}").exists()


def test_a_function_that_is_late_or_ends_is_reported_as_lambda_does(
    kernel: Kernel, layout: Layout
) -> None:
    copy = Copy(kernel, does_as_told(layout.config, timeout_s=1))
    try:
        assert b"Task timed out after 1.00 seconds" in copy.invoke(event(sleep_s=5)).body
        ended = copy.invoke(event(exit=3))
        assert (ended.status, json.loads(ended.body)["errorType"]) == (502, "Runtime.ExitError")
    finally:
        copy.end()


def test_requests_are_spread_over_copies_one_at_a_time(kernel: Kernel, layout: Layout) -> None:
    copies = [Copy(kernel, does_as_told(layout.config)) for _ in range(2)]
    server = FunctionServer(copies)
    server.start()
    try:
        for copy in copies:
            copy.invoke(event())
        with ThreadPoolExecutor(6) as pool:
            seen = [
                document(one) for one in pool.map(post, [server.url] * 6, [event(sleep_s=0.2)] * 6)
            ]
    finally:
        server.stop()
        for copy in copies:
            copy.end()
    times = sorted([(one["begun"], 1) for one in seen] + [(one["ended"], -1) for one in seen])
    at_once, most = 0, 0
    for _, change in times:
        at_once += change
        most = max(most, at_once)
    assert most == 2


def test_a_copy_that_was_killed_is_started_again(told: Copy) -> None:
    told.invoke(event())
    first = told.pid
    assert first
    os.kill(first, 9)
    deadline = time.monotonic() + 10
    while told.alive and time.monotonic() < deadline:
        time.sleep(0.01)
    assert document(told.invoke(event()))
    assert told.pid != first


def test_a_copy_outlives_the_thread_that_started_it(told: Copy) -> None:
    with ThreadPoolExecutor(1) as pool:
        pool.submit(told.start).result()
    first = told.pid
    assert document(told.invoke(event(sleep_s=0.1)))
    assert told.pid == first


def test_a_program_that_is_not_there_is_named(kernel: Kernel) -> None:
    settings = Settings(entrypoint=("/usr/bin/none",), command=("x.handler",))
    limits = Limits(memory_mb=1769)
    copy = Copy(kernel, Function(name="x", settings=settings, limits=limits, timeout_s=5))
    try:
        assert "/usr/bin/none" in start_problem(copy, event())
    finally:
        copy.end()


def test_a_function_that_cannot_be_imported_is_reported_with_the_reason(
    kernel: Kernel, layout: Layout
) -> None:
    settings = replace(does_as_told(layout.config).settings, command=("broken.handler",))
    copy = Copy(kernel, replace(does_as_told(layout.config), settings=settings))
    try:
        said = start_problem(copy, event())
    finally:
        copy.end()
    assert said.startswith("the function does not start")
    assert "nothing_of_this_name" in said


def test_an_emulator_that_is_not_there_is_no_start(
    root: Path, layout: Layout, tmp_path: Path
) -> None:
    kernel = Kernel(root=root, emulator=tmp_path / "none", limited=False)
    with pytest.raises(NotStarted, match="No such file or directory"):
        Copy(kernel, does_as_told(layout.config)).start()


def test_the_image_of_a_model_answers_its_probe(root: Path, rie: Path, layout: Layout) -> None:
    limits = Limits(memory_mb=1769)
    settings = Settings.read(layout.config["config"])
    function = Function(name="shop", settings=settings, limits=limits, timeout_s=20)
    lines: list[str] = []
    copy = Copy(
        Kernel(root=root, emulator=rie, limited=not limits_problem(limits)),
        function,
        lines.append,
    )
    try:
        assert start_problem(copy, event_of(Tier.CPU)) == ""
        answer = document(copy.invoke(b'{"inputs": ["lovely"]}'))
    finally:
        copy.end()
    assert answer["outputs"][0]["label"] == "good"
    assert any("START RequestId" in line for line in lines)
