"""Rules for every test: one group each, the heavy ones first, and a part of the exhaustive ones chosen by a seed.

Fixtures are in the test modules that use them, or in a conftest.py beside several; what they are made of (tiny models,
servers, builds) is in `tests/fixtures/`.
"""

import gc
import os
import random
import signal
import sys
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest

# A shell that starts a run in the background has it ignore interrupts, and so would every process that tests interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Tiny models are made several times faster by one thread than by a pool, and two processes share the machine; read when
# torch is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Heaviest first, so that two processes end at nearly the same time.
GROUPS = ("system", "foreign", "build", "fast")
# The group of tests without a mark, by their folder; in every other folder they are fast.
FOLDERS = {
    "tests/system/": "system",
    "tests/local/": "system",
    "tests/stacks/": "system",
    "tests/build/edge/": "build",
    "tests/build/export/": "build",
    "tests/build/families/": "build",
    "tests/build/inspection/": "build",
    "tests/build/proof/": "build",
    "tests/build/reading/": "build",
    "tests/build/recipes/": "build",
    "tests/reference/": "build",
}
SEED, PROVE = "TURNOUT_SEED", "TURNOUT_PROVE"
FROZEN = pytest.StashKey[bool]()


def pytest_configure() -> None:
    """Choose a seed, which the processes that share the tests inherit."""
    os.environ.setdefault(SEED, str(random.SystemRandom().randrange(1_000_000)))


def pytest_report_header() -> str:
    """Print the seed, so that a failure can be repeated."""
    if os.environ.get(PROVE):
        return "every exhaustive test (make prove)"
    return f"exhaustive tests: a part, by {SEED}={os.environ[SEED]}; `make prove` runs all"


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print the number of tests and their seconds by group."""
    seconds: defaultdict[str, float] = defaultdict(float)
    tests: Counter[str] = Counter()
    reports = (report for found in terminalreporter.stats.values() for report in found)
    for report in reports:
        if isinstance(report, pytest.TestReport):
            group = str(dict(report.user_properties)["group"])
            seconds[group] += report.duration
            tests[group] += report.when == "call"
    for group in GROUPS:
        if group in tests:
            terminalreporter.write_line(f"{group}: {tests[group]} tests, {seconds[group]:.0f} s")


def group_of(item: pytest.Item) -> str:
    """Return the one group of a test, by its mark or its folder.

    Raise UsageError if it is marked with several, or as fast in a folder that a run of the fast tests does not read.
    """
    marked = [group for group in GROUPS if item.get_closest_marker(group)]
    if len(marked) > 1:
        raise pytest.UsageError(f"{item.nodeid} belongs to {' and '.join(marked)}; mark it once")
    by_folder = next((FOLDERS[name] for name in FOLDERS if item.nodeid.startswith(name)), "fast")
    if marked == ["fast"] != [by_folder]:
        raise pytest.UsageError(f"{item.nodeid} is fast in a folder of {by_folder}; move it")
    return marked[0] if marked else by_folder


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave the folders of other groups out of a run of the fast tests: to import them takes seconds."""
    if config.option.markexpr != "fast":
        return None
    folder = f"{collection_path.relative_to(config.rootpath).as_posix()}/"
    return True if folder in FOLDERS else None


def left_out(items: list[pytest.Item]) -> set[pytest.Item]:
    """Return the cases of exhaustive tests that the seed does not choose; none for `make prove`."""
    if os.environ.get(PROVE):
        return set()
    cases: dict[str, list[pytest.Item]] = {}
    for item in items:
        if item.get_closest_marker("exhaustive"):
            cases.setdefault(item.nodeid.split("[")[0], []).append(item)
    chosen: set[pytest.Item] = set()
    for name, of_test in cases.items():
        mark = of_test[0].get_closest_marker("exhaustive")
        assert mark
        count = min(mark.kwargs["keep"], len(of_test))
        chosen.update(random.Random(f"{os.environ[SEED]} {name}").sample(of_test, count))
    return {item for of_test in cases.values() for item in of_test} - chosen


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark each test with its group, and put the heavy ones first.

    Raise UsageError for a run of the fast tests that has imported torch to collect them, which takes seconds.
    """
    if config.option.markexpr == "fast" and "torch" in sys.modules:
        raise pytest.UsageError(
            "a module of the fast tests imports torch; import it where it is used"
        )
    if gone := left_out(items):
        config.hook.pytest_deselected(items=list(gone))
        items[:] = [item for item in items if item not in gone]
    groups = {item: group_of(item) for item in items}
    for item, group in groups.items():
        item.add_marker(group)
        item.user_properties.append(("group", group))
    items.sort(key=lambda item: GROUPS.index(groups[item]))


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item) -> None:
    """Leave what large libraries hold out of later garbage collections.

    A build collects after every stage, and to look through torch and transformers each time takes longer than to
    build a tiny model.
    """
    # `gc.get_freeze_count` counts the objects one by one: 0.1 s after each test.
    if "torch" in sys.modules and FROZEN not in item.config.stash:
        gc.collect()
        gc.freeze()
        item.config.stash[FROZEN] = True
