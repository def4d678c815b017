"""The script that finds what images of CPU functions do without, up to the trace, which needs root."""

from pathlib import Path

import pytest

pytestmark = pytest.mark.build


def test_a_run_needs_nothing_of_an_earlier_one(tmp_path: Path) -> None:
    # Imports the builds of the fixtures, which takes seconds.
    from scripts.find_unused import run_folder

    for _ in range(2):
        with run_folder(tmp_path / ".turnout/images") as folder:
            assert list(Path(folder).iterdir()) == []
    assert list((tmp_path / ".turnout/images").iterdir()) == []
