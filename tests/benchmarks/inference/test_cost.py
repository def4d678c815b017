"""The cost of a million requests at the lengths of a set: times of one text, prices of the project's table."""

import pytest

from benchmarks.contenders import OURS, REQUEST, Item
from benchmarks.inference.cost import cost_of, rows_of, spread_by_length
from benchmarks.inference.rounds import Kept
from stacks.costs.prices import price


def items(*lengths: int) -> list[Item]:
    return [Item(text=str(n), ids=(7,) * n) for n in lengths]


def kept(**ms: float) -> Kept:
    names = {"ours": OURS, "request": REQUEST, "full": "ONNX Runtime fp32"}
    return Kept(kernel_ms=1.0, ms={(names[name], "queries"): [t] * 3 for name, t in ms.items()})


def test_rows_stand_for_equal_parts_of_a_set_by_length() -> None:
    shuffled = items(9, 1, 5, 3, 7, 2, 8, 4, 6, 10)
    assert [len(each.ids) for each in spread_by_length(shuffled, 5)] == [2, 4, 6, 8, 10]
    assert [len(each.ids) for each in spread_by_length(shuffled, 1)] == [6]


def test_a_function_costs_its_fee_and_the_seconds_of_one_vcpu() -> None:
    found = cost_of(9.5)
    seconds = price("lambda_gb_second", "us-east-1").first * 1769 / 1024 * (9.5 + 0.5) / 1e3
    assert found.fee == pytest.approx(0.20)
    assert found.function == pytest.approx(0.20 + 1e6 * seconds)


def test_the_router_waits_for_the_model_and_the_rest_is_fixed() -> None:
    quick, slow = cost_of(1.0), cost_of(11.0)
    waiting = price("lambda_gb_second", "us-east-1").first * 10.0 / 1e3 * 1e6
    assert slow.whole - quick.whole == pytest.approx(slow.function - quick.function + waiting)
    assert slow.fixed == quick.fixed < quick.whole
    # The front door's fee alone is a dollar.
    assert quick.fixed > 1.0


def test_a_time_is_the_graphs_and_what_the_function_adds_to_ours() -> None:
    measured = kept(ours=2.0, request=2.6, full=5.0)
    before, ships = rows_of(
        "queries", items(4, 6, 8), measured, ["ONNX Runtime fp32", OURS, REQUEST], "int8 smoothed"
    )
    assert (before["when"], before["what"], before["ms a text"]) == (
        "before",
        "ONNX Runtime, full precision",
        5.6,
    )
    assert (ships["when"], ships["what"], ships["ms a text"]) == ("ships", "int8 smoothed", 2.6)
    assert before["tokens"] == "6, 95% below 8"
    assert ships["function, $"] == f"{cost_of(2.6).function:.2f}"
    assert ships["of it the fee"] == f"{0.2 / cost_of(2.6).function:.0%}"
    assert float(str(before["whole request, $"])) > float(str(ships["whole request, $"]))


def test_a_set_without_enough_readings_has_no_cost() -> None:
    measured = kept(ours=2.0, request=2.6, full=5.0)
    del measured.ms[OURS, "queries"][0]
    with pytest.raises(SystemExit, match="too few readings of Turnout on queries"):
        rows_of("queries", items(4), measured, [OURS, REQUEST], "int8")
