"""The outcome of a mutant in pytest's report, of which `scripts/mutants.py` makes the record."""

from collections.abc import Callable

import pytest

RecordFault = Callable[..., None]


@pytest.fixture
def record(request: pytest.FixtureRequest) -> RecordFault:
    """Return a function that adds properties to the test in the report."""

    def added(**properties: str) -> None:
        # pytest's own fixture for it warns wherever a report is written in today's format.
        request.node.user_properties.extend(properties.items())

    return added
