"""Threads are compared under a share of the CPUs, each case in processes of its own."""

from pathlib import Path

import pytest

from benchmarks.limited.cpu_share import CASES, RUNS, TOKENS, measure, open_case, rows_of
from functions.inference.session import BoundSession, available_processors, processors_of
from tests.fixtures.models.tiny import artefact


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_a_graph_is_run_in_each_case(tmp_path: Path, name: str) -> None:
    folder, case = artefact(tmp_path / "cpu"), CASES[name]
    session = open_case(folder, case)
    given = session.get_session_options()
    assert given.intra_op_num_threads == case.threads
    assert given.get_session_config_entry("session.intra_op.allow_spinning") == str(int(case.spins))
    bound = case.bound and bool(processors_of(case.threads, available_processors()))
    assert isinstance(session, BoundSession) == bound
    took = measure(folder, case, 0.0)
    assert {tokens: len(runs) for tokens, runs in took.items()} == dict.fromkeys(TOKENS, RUNS)
    assert min(min(runs) for runs in took.values()) > 0


def test_a_row_has_the_median_and_the_95th_percentile_of_each_case() -> None:
    runs = [float(number) for number in range(21)]
    took = {"1 thread": {16: runs, 128: [2.0, 2.0]}, "2 threads": {16: runs[::-1], 128: [3.0, 3.0]}}
    one, two = rows_of(2048, 1.1577, "one by one", took)
    assert one == {
        "memory, MB": 2048,
        "vCPU": 1.16,
        "requests": "one by one",
        "tokens": 16,
        "1 thread": "10.0 / 19.0",
        "2 threads": "10.0 / 19.0",
    }
    assert (two["tokens"], two["1 thread"], two["2 threads"]) == (128, "2.0 / 2.0", "3.0 / 3.0")
