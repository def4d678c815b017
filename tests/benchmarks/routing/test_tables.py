"""The figures of two real artefacts whose answers are known in advance."""

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.record import Row
from benchmarks.routing.answers import Answered, answered, write_config
from benchmarks.routing.costs import loads
from benchmarks.routing.curves import Estimate
from benchmarks.routing.tables import (
    bound_rows,
    cost_rows,
    model_row,
    percent,
    router_rows,
    signed,
)
from stacks.scaling.traces import Trace
from tests.build.cascade.moods import artefacts, rows, write

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A work folder with both artefacts: of 700 rows the small one is unsure of 200 and wrong there."""
    folder = tmp_path_factory.mktemp("work")
    place = folder / "moods"
    artefacts(place / "out")
    write(place / "routed.jsonl", rows(awful=250, lovely=250, dim=200))
    write(place / "gate.jsonl", rows(awful=10, lovely=10))
    write_config(folder, "moods")
    return folder


@pytest.fixture(scope="module")
def found(work: Path) -> Answered:
    """Their answers to the rows."""
    return answered(work, "moods")


def test_the_small_model_is_wrong_where_it_is_unsure(found: Answered) -> None:
    row = model_row("moods", found)
    assert row["rows"] == 700
    assert str(row["always CPU"]).startswith("71.4%")
    assert str(row["always GPU"]).startswith("100.0%")
    assert str(row["GPU's minus CPU's, points"]).startswith("+28.57")
    assert found.cpu_ms > 0


def test_its_confidence_is_as_good_as_the_oracle(found: Answered) -> None:
    areas = {row["router"]: float(str(row["APGR"])[:5]) for row in router_rows("moods", found)}
    assert areas["cascade (confidence)"] == areas["oracle"] == pytest.approx(1 - 2 / 14, abs=0.001)
    assert areas["random"] == pytest.approx(0.5, abs=0.1)


def test_all_that_it_is_sure_of_is_kept_within_every_bound(found: Answered) -> None:
    for row in bound_rows("moods", found):
        assert float(str(row["kept"])[:4]) == pytest.approx(71.4, abs=4)
        assert str(row["lost"]).startswith("0.00%")
        assert str(row["both minus GPU, points"]).startswith("+0.00")
        assert row["above"] == row["beyond noise"] == "0.0%"


def test_the_rest_keeps_a_gpu_awake_by_day_alone(found: Answered) -> None:
    hour = Trace(begins=0.0, seconds=3600.0, arrivals=tuple(float(at) for at in range(0, 3600, 4)))
    bills = list(cost_rows(loads(hour, 1)[0], {"moods": found}, 10.0))
    alone, by_hours, cascade = bills
    assert [row["way"] for row in (alone, by_hours)] == ["GPU alone", "GPU alone, by hours"]
    assert [alone["less than GPU alone"], alone["met no GPU"]] == ["0%", "0.00%"]
    assert 67 < percent_of(cascade) <= percent_of(by_hours) < 70
    assert cascade["right, minus GPU alone, points"] == "+0.00 (+0.00 to +0.00)"


def percent_of(row: Row) -> float:
    return float(str(row["less than GPU alone"])[:-1])


def test_outputs_are_kept_until_the_artefact_is_another(work: Path, found: Answered) -> None:
    kept = work / "moods" / "outputs-cpu.json"
    made = kept.stat().st_mtime_ns
    again = answered(work, "moods")
    assert kept.stat().st_mtime_ns == made
    assert np.array_equal(again.answers.confidences, found.answers.confidences)
    document = json.loads(kept.read_text("utf-8"))
    kept.write_text(json.dumps({**document, "digest": "another"}), "utf-8")
    answered(work, "moods")
    assert json.loads(kept.read_text("utf-8")) == document


def test_shares_and_differences_are_shown_with_their_intervals() -> None:
    estimate = Estimate(value=0.1234, low=-0.05, high=0.25)
    assert percent(estimate) == "12.3% (-5.0 to 25.0)"
    assert signed(estimate) == "+12.34 (-5.00 to +25.00)"
