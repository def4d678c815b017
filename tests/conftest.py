"""Rules for every test: each belongs to one group, and the heavy ones run first."""

import signal

import pytest

# A shell that starts a run in the background has it ignore interrupts, and so would every process that tests interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Heaviest first, so that two processes end at nearly the same time. A test without a mark is fast.
GROUPS = ("system", "foreign", "build", "fast")


def group_of(item: pytest.Item) -> str:
    """Return the one group of a test; raise UsageError if it is marked with several."""
    marked = [group for group in GROUPS if item.get_closest_marker(group)]
    if len(marked) > 1:
        raise pytest.UsageError(f"{item.nodeid} belongs to {' and '.join(marked)}; mark it once")
    return marked[0] if marked else "fast"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test with its group, and keep the tests of a heavy module in one process.

    Heavy modules share what they build or deploy; fast tests go to whichever process is free.
    """
    groups = {item: group_of(item) for item in items}
    for item, group in groups.items():
        item.add_marker(group)
        item.user_properties.append(("group", group))
        if group != "fast":
            item.add_marker(pytest.mark.xdist_group(item.nodeid.split("::")[0]))
    items.sort(key=lambda item: GROUPS.index(groups[item]))
