"""Batches run on the cores of a machine: one on each where that is faster, with the same answers to the last bit."""

import random
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from contracts.prediction import PredictRequest
from functions.inference.batching.side_by_side import (
    ONE_LANE,
    Lanes,
    SideBySide,
    has_room,
    lanes_of,
    shared_first,
)
from functions.inference.engine import Engine
from functions.inference.runtimes.open_graph import Forward
from tests.fixtures.models.tiny import Tiny, artefact
from tests.fixtures.problems import raises


@dataclass
class Clock:
    """A clock that moves by a second at each reading."""

    now: float = 0.0

    def __call__(self) -> float:
        self.now += 1
        return self.now


def shared(feeds: Any) -> Any:
    return np.array(["shared"])


def alone(feeds: Any) -> Any:
    return np.array(["alone"])


@dataclass
class Opening:
    """Counts how often the graph of one thread is opened, and says whether there is room for it."""

    room: bool = True
    opened: int = 0
    asked: int = 0

    def open(self) -> Forward:
        self.opened += 1
        return alone

    def has_room(self) -> bool:
        self.asked += 1
        return self.room


def lanes(opening: Opening, *, opening_s: float = 0.0, cores: int = 2) -> SideBySide:
    return SideBySide(
        cores,
        open_one_thread=opening.open,
        opening_s=opening_s,
        room=opening.has_room,
        clock=Clock(),
    )


def graphs(lanes: Lanes, *costs: float) -> list[str]:
    """Return the graph that each batch was run on, in the order of the batches."""
    found = dict(lanes.run(shared, costs, lambda number, forward: str(forward({})[0])))
    return [found[number] for number in range(len(costs))]


@pytest.mark.parametrize(
    ("costs", "cores", "first"),
    [
        ([50], 2, 1),
        ([50, 50], 2, 0),
        # The third would keep one core waiting.
        ([50, 50, 50], 2, 1),
        ([50] * 64, 2, 0),
        # While one core is at the longest, the other would have nothing to do.
        ([500, 10], 2, 2),
        ([500, 250, 250], 2, 0),
        ([500, 40, 40, 40], 2, 1),
        ([50] * 6, 6, 0),
        ([50] * 7, 6, 1),
        ([], 2, 0),
    ],
    ids=str,
)
def test_cores_share_what_would_leave_one_of_them_idle(
    costs: list[float], cores: int, first: int
) -> None:
    found, gain = shared_first(costs, cores)
    assert found == first
    assert (gain > 0) == (first < len(costs))


def test_the_graph_of_one_thread_is_opened_once_its_lack_has_cost_as_much() -> None:
    opening = Opening()
    # A turn takes a second by the clock, and two equal batches would gain 2/7 of it.
    several = lanes(opening, opening_s=0.5)
    assert graphs(several, 9, 9) == ["shared", "shared"]
    assert graphs(several, 9) == ["shared"]
    assert graphs(several, 9, 9) == ["shared", "shared"]
    assert opening.opened == 0
    assert graphs(several, 9, 9) == ["alone", "alone"]
    assert graphs(several, 9, 9, 9) == ["shared", "alone", "alone"]
    assert graphs(several, 9) == ["shared"]
    assert opening.opened == 1


def test_a_graph_that_has_no_room_twice_is_opened_once() -> None:
    opening = Opening(room=False)
    several = lanes(opening)
    for _ in range(3):
        assert graphs(several, 9, 9) == ["shared", "shared"]
    assert (opening.opened, opening.asked) == (0, 1)


def test_a_graph_that_cannot_be_opened_twice_is_tried_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    opened: list[int] = []

    def fails() -> Forward:
        opened.append(1)
        raise RuntimeError("out of memory")

    lanes = SideBySide(2, open_one_thread=fails, opening_s=0, room=lambda: True)
    for _ in range(3):
        found = dict(lanes.run(shared, [1.0, 1.0], lambda number, forward: forward({})[0]))
        assert found == {0: "shared", 1: "shared"}
    assert len(opened) == 1
    assert "out of memory" in caplog.text


def test_two_batches_run_at_the_same_time() -> None:
    both = threading.Barrier(2)
    several = lanes(Opening())
    # Each waits for the other, so that one after the other would not end.
    found = several.run(shared, [9, 9], lambda number, forward: both.wait(timeout=60))
    assert sorted(number for number, _ in found) == [0, 1]


def test_what_has_not_begun_is_left_when_the_caller_leaves() -> None:
    begun: list[int] = []
    gate = threading.Event()

    def work(number: int, forward: Forward) -> int:
        begun.append(number)
        if len(begun) > 1:
            gate.wait(timeout=60)
        return number

    found = lanes(Opening()).run(shared, [9] * 40, work)
    next(found)
    found.close()  # type: ignore[attr-defined]
    gate.set()
    time.sleep(0.05)
    assert len(begun) < 40


def test_one_thread_has_one_lane_and_none_stands_for_all() -> None:
    def opened(at_once: int) -> Forward:
        raise AssertionError("nothing was run")

    assert lanes_of(1, opened, opening_s=0, size=1) is ONE_LANE
    assert lanes_of(3, opened, opening_s=0, size=1).cores == 3
    assert lanes_of(0, opened, opening_s=0, size=1).cores >= 1


def test_the_graph_is_opened_for_a_run_on_each_core() -> None:
    asked: list[int] = []

    def opened(at_once: int) -> Forward:
        asked.append(at_once)
        return shared

    graphs(lanes_of(3, opened, opening_s=0, size=0), 9, 9, 9)
    assert asked == [3]


def test_room_is_five_times_the_files(tmp_path: Path) -> None:
    memory = tmp_path / "meminfo"
    memory.write_text("MemTotal: 9000 kB\nMemFree: 1 kB\nMemAvailable: 500 kB\n", "utf-8")
    assert has_room(100 * 1024, memory)
    assert not has_room(100 * 1024 + 1, memory)
    memory.write_text("MemTotal: 9000 kB\n", "utf-8")
    assert not has_room(1, memory)
    assert not has_room(1, tmp_path / "none")


@pytest.mark.parametrize("together", [True, False])
def test_several_cores_answer_as_one(tmp_path: Path, together: bool) -> None:
    folder = artefact(tmp_path / "cpu", Tiny(batches=together))
    one, two = (Engine.load(folder, threads=threads, max_inputs=1000) for threads in (1, 2))
    model: Any = two.model
    opening = Opening()
    several = SideBySide(
        2, open_one_thread=lambda: model.forward, opening_s=0, room=opening.has_room
    )
    two = replace(two, model=(model := replace(model, lanes=several)), batching=model)
    chance = random.Random(7)
    words = ("lovely", "awful", "fine", "unheard")
    texts = tuple(" ".join(chance.choices(words, k=chance.randint(1, 14))) for _ in range(200))
    request = PredictRequest(inputs=texts, parameters={"top_k": 3})
    assert two.predict(request).outputs == one.predict(request).outputs
    assert opening.asked == 1
    with raises("deadline_exceeded", "nobody waits"):
        two.predict(replace(request, deadline=time.monotonic() - 60))
    with raises("model_failed", "not finite"):
        two.predict(replace(request, inputs=(*texts, "broken")))


def test_a_failed_request_leaves_the_others_of_its_batch(tmp_path: Path) -> None:
    engine = Engine.load(artefact(tmp_path / "cpu"), threads=2)
    model: Any = engine.model
    several = SideBySide(2, open_one_thread=lambda: model.forward, opening_s=0, room=lambda: True)
    engine = replace(engine, model=(model := replace(model, lanes=several)), batching=model)
    asked = [PredictRequest(inputs=(text, "fine")) for text in ("fine", "broken", "lovely")]
    found = list(engine.predict_together([engine.prepare(request) for request in asked]))
    assert sorted(place for place, _ in found) == [0, 1, 2]
    failed = [place for place, outcome in found if isinstance(outcome, Exception)]
    assert failed == [1]
