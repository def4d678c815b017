"""Readings that count in the rounds of contenders, and the notes of a table."""

import itertools
import random

import pytest

from benchmarks.contenders import DECODERS, ENCODERS, OURS, Contender
from benchmarks.contenders.environments import ENVIRONMENTS, PROJECT
from benchmarks.inference.encoding import agreement, full_cell, macs, processor_of
from benchmarks.inference.rounds import Reading, kept, measure, too_few
from benchmarks.inference.taking_turns import cell, over_after, same
from benchmarks.record import ROOT


def reading(ms: float, *, before: float = 10, after: float = 10, contender: str = OURS) -> Reading:
    return Reading(contender=contender, workload="8 tokens", ms=ms, before=before, after=after)


def test_a_reading_while_the_kernel_drifts_does_not_count() -> None:
    steady = [reading(1.0), reading(1.1), reading(1.2, before=10, after=10)]
    found = kept([*steady, reading(9.0, before=10.6), reading(9.0, after=14)])
    assert found.ms == {(OURS, "8 tokens"): [1.0, 1.1, 1.2]}
    assert (found.count, found.made, found.kernel_ms) == (3, 5, 10)


def test_a_reading_is_corrected_for_a_machine_that_was_slower_throughout() -> None:
    slower = [reading(1.3, before=13, after=13) for _ in range(6)]
    busy = [reading(9.0, before=25, after=25) for _ in range(6)]
    found = kept([*slower, *busy, *[reading(1.0) for _ in range(4)]])
    assert found.count == 10
    assert found.typical(OURS, "8 tokens") == pytest.approx(1.0)


def test_the_figure_of_a_cell_leaves_longer_readings_of_a_busy_machine_out() -> None:
    found = kept([reading(ms) for ms in (1.0, 1.1, 1.2, 5.0, 9.0, 6.0, 1.3)])
    assert found.typical(OURS, "8 tokens") == pytest.approx(1.18)


def test_fewer_than_three_readings_are_no_figure() -> None:
    found = kept([reading(1.0), reading(1.0), *[reading(5.0, before=20) for _ in range(3)]])
    assert found.count == 2
    assert found.typical(OURS, "8 tokens") is None
    assert cell(found, OURS, "8 tokens") == "–"


def test_a_cell_has_the_time_of_a_contender_as_a_multiple_of_ours() -> None:
    others = [reading(3.0, contender="another") for _ in range(3)]
    found = kept([*[reading(2.0) for _ in range(3)], *others])
    assert cell(found, "another", "8 tokens") == "3.00 (1.50×)"
    assert cell(found, "another", "8 tokens", per=2) == "1.50 (1.50×)"


def test_contenders_take_turns_and_each_is_first_once() -> None:
    calls: list[str] = []

    def seconds_of(contender: str, workload: str, repeats: int) -> list[float]:
        calls.append(contender)
        return [random.Random(len(calls)).uniform(50, 70)] * repeats

    readings = measure(["a", "b", "c"], ["w"], seconds_of, lambda: 10.0, 3, lambda _: None)
    assert calls[3:] == ["a", "b", "c", "b", "c", "a", "c", "a", "b"]
    assert [one.contender for one in readings] == calls[3:]


def test_agreement_is_the_share_of_equal_values() -> None:
    assert same([[1], [0], [1, 2]], [[1], [1], [1, 3]]) == 0.5


def test_multiplications_are_those_of_the_matrix_products() -> None:
    config = {"hidden_size": 4, "intermediate_size": 8, "num_hidden_layers": 2}
    projections, inner, attention, pooler = 4 * 4 * 4, 2 * 4 * 8, 2 * 3 * 4, 4 * 4
    assert macs(config, 3) == 2 * 3 * (projections + inner + attention) + pooler


@pytest.mark.parametrize("contender", [*ENCODERS, *DECODERS], ids=lambda one: one.name)
def test_every_contender_has_an_environment_and_a_function_that_opens_it(
    contender: Contender,
) -> None:
    assert contender.environment in {PROJECT, *ENVIRONMENTS}
    module, function = contender.opens.split(":")
    code = (ROOT / f"benchmarks/contenders/{module}.py").read_text("utf-8")
    assert f"def {function}(setting: Setting) -> Opened:" in code


def test_rounds_go_on_until_every_cell_has_enough_readings() -> None:
    """The machine is busy during every other reading of the second contender."""
    speeds = iter([10.0, *[10.0, 10.0, 10.0, 30.0] * 40])
    lines: list[str] = []
    found = measure(["a", "b"], ["w"], lambda *_: [60.0], lambda: next(speeds), 2, lines.append)
    assert too_few(found, ["a", "b"], ["w"]) == set()
    assert too_few(found[:2], ["a", "b"], ["w"]) == {("a", "w"), ("b", "w")}
    assert len(lines) > 2
    assert "cells with too few readings" in lines[-1]


def test_a_machine_that_stays_busy_gives_no_table() -> None:
    speeds = itertools.cycle([10.0, 30.0])
    with pytest.raises(SystemExit, match="too busy for 1 cells, such as"):
        measure(["a"], ["w"], lambda *_: [60.0], lambda: next(speeds), 1, lambda _: None)


def test_a_contender_counts_from_the_share_of_labels_on_that_the_gate_asks_for() -> None:
    assert agreement(0.995) == {"same label": "99.50%", "counts": "yes"}
    assert agreement(0.9949) == {"same label": "99.49%", "counts": "no"}


@pytest.mark.parametrize(
    ("cpu", "instructions", "name"),
    [
        ("AMD EPYC", "x86-64 with AVX2, without VNNI and AVX-512", "amd_epyc_avx2"),
        (
            "AMD EPYC 9654 96-Core Processor",
            "x86-64 with AVX-512 VNNI",
            "amd_epyc_9654_avx_512_vnni",
        ),
        (
            "Intel(R) Xeon(R) Platinum 8259CL CPU @ 2.50GHz",
            "x86-64 with AVX-512 VNNI",
            "intel_xeon_platinum_8259cl_avx_512_vnni",
        ),
        ("", "aarch64 with NEON dot products", "neon_dot_products"),
    ],
)
def test_a_result_is_named_after_its_processor(cpu: str, instructions: str, name: str) -> None:
    assert processor_of({"cpu": cpu, "instructions": instructions}) == name


def test_a_cell_without_enough_readings_gives_no_table() -> None:
    found = kept([reading(1.0), reading(1.0)])
    with pytest.raises(SystemExit, match="too few readings of Turnout on 8 tokens"):
        full_cell(found, OURS, "8 tokens")
    assert full_cell(kept([reading(1.0)] * 3), OURS, "8 tokens") == "1.00 (1.00×)"


def test_what_is_slow_is_read_until_it_has_a_figure_and_no_longer() -> None:
    calls: list[str] = []

    def run(contender: str, workload: str, repeats: int) -> list[float]:
        calls.append(contender)
        return [{"quick": 10.0, "slow": 60.0}[contender]] * repeats

    found = measure(["quick", "slow"], ["w"], run, lambda: 10.0, 8, lambda _: None)
    assert [calls.count(name) - 1 for name in ("quick", "slow")] == [8, 3]
    assert too_few(found, ["quick", "slow"], ["w"]) == set()


def test_when_the_time_is_over_only_cells_without_a_figure_are_read() -> None:
    """The machine is busy during the first two readings of the second contender."""
    ticks = iter([False, True, True, True, True, True, True])
    speeds = iter([10.0, 10.0, 30.0, 10.0, 30.0, 10.0, *[10.0] * 40])
    found = measure(
        ["a", "b"],
        ["w"],
        lambda *_: [60.0],
        lambda: next(speeds),
        20,
        lambda _: None,
        over=lambda: next(ticks),
    )
    assert too_few(found, ["a", "b"], ["w"]) == set()
    assert len(found) < 20


def test_the_time_is_over_after_so_many_minutes() -> None:
    times = iter([100.0, 219.0, 220.0])
    over = over_after(2, lambda: next(times))
    assert [over(), over()] == [False, True]
    assert not over_after(None, lambda: 0.0)()
