"""A start is measured by the processor time of its process, and one that fails is none."""

import sys
from pathlib import Path

import pytest

from benchmarks.router_start import processor_ms

pytestmark = pytest.mark.slow


def test_the_time_of_a_process_is_its_processors_and_not_the_walls(tmp_path: Path) -> None:
    python, routes = Path(sys.executable), tmp_path / "routes.json"
    busy = "import time\nwhile time.process_time() < 0.3: pass"
    assert processor_ms(python, busy, routes) >= 300
    # It sleeps for longer than an interpreter computes, however busy the machine is.
    assert processor_ms(python, "import time; time.sleep(2)", routes) < 2_000


def test_a_start_that_fails_is_no_measurement(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="exit status 1"):
        processor_ms(Path(sys.executable), "raise SystemExit(1)", tmp_path / "routes.json")
