"""OpenVINO is tried where it can gain something, and not where the user wants another runtime."""

import platform
from typing import Any

import pytest

from build.workspace.runtimes import (
    ELSEWHERE,
    LEAST_BYTES,
    MISSING,
    openvino_problem,
    runtimes_to_try,
)
from contracts.specs import Objective
from contracts.tasks import Runtime

FIRST, SECOND = Runtime.ONNX_RUNTIME, Runtime.OPENVINO
ON_X86 = platform.machine() == "x86_64"


def tried(setting: Runtime = Runtime.AUTO, **changes: Any) -> tuple[Runtime, ...]:
    settings = {
        "objective": Objective.LATENCY,
        "weight_bytes": LEAST_BYTES,
        "edge": False,
        "available": True,
        **changes,
    }
    return runtimes_to_try(setting, **settings)


def test_by_itself_both_are_tried() -> None:
    assert tried() == ((FIRST, SECOND) if ON_X86 else (FIRST,))


@pytest.mark.parametrize(
    "changes",
    [
        {"available": False},
        {"edge": True},
        {"weight_bytes": LEAST_BYTES - 1},
        {"objective": Objective.SIZE},
        {"objective": Objective.ACCURACY},
    ],
)
def test_by_itself_it_is_not_tried_where_it_cannot_ship_or_gain(changes: dict[str, Any]) -> None:
    assert tried(**changes) == (FIRST,)


@pytest.mark.parametrize(
    ("available", "machine", "problem"),
    [
        (True, "x86_64", ""),
        (False, "x86_64", MISSING),
        (True, "aarch64", ELSEWHERE),
        (False, "arm64", ELSEWHERE),
    ],
)
def test_it_is_asked_for_where_it_is_installed_and_its_answers_can_be_checked(
    available: bool, machine: str, problem: str
) -> None:
    assert openvino_problem(available=available, machine=machine) == problem


def test_this_machine_is_the_one_that_counts() -> None:
    assert openvino_problem(available=True) == ("" if ON_X86 else ELSEWHERE)


@pytest.mark.parametrize("runtime", [FIRST, SECOND])
def test_a_runtime_that_is_asked_for_is_the_only_one(runtime: Runtime) -> None:
    assert tried(runtime, weight_bytes=1, objective=Objective.SIZE) == (runtime,)
