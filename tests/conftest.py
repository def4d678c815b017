"""Rules for every test: one group each, the heavy ones first, and a part of the exhaustive ones chosen by a seed.

Fixtures are in the test modules that use them, or in a conftest.py beside several; what they are made of (tiny models,
servers, builds) is in `tests/fixtures/`.
"""

import gc
import os
import random
import re
import signal
import sys
from collections import Counter, defaultdict
from functools import cache
from pathlib import Path
from typing import Any

import pytest

# A shell that starts a run in the background has it ignore interrupts, and so would every process that tests interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Tiny models are made several times faster by one thread than by a pool, and two processes share the machine; read when
# torch is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Heaviest first, so that two processes end at nearly the same time.
GROUPS = ("sam", "system", "foreign", "build", "slow", "fast")
# The group of tests without a mark, by their folder; in every other folder they are fast.
FOLDERS = {
    "tests/images/sam/": "sam",
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
    "tests/functions/observer/": "slow",
    "tests/functions/prober/": "slow",
    "tests/functions/sampler/": "slow",
    "tests/images/": "slow",
    "tests/turnout/batch/": "slow",
    "tests/turnout/image/": "slow",
    "tests/turnout/push/": "slow",
    "tests/turnout/sam/": "slow",
}
# The modules that take longest, a minute or more with the processes beside them, begin first: one that began last would
# keep one process busy when the others have ended. `--durations=30` shows whether the order is still true.
LONGEST = (
    "tests/images/sam/test_sam.py",
    "tests/system/test_end_to_end.py",
    "tests/system/test_families_served.py",
    "tests/build/sources/test_tensorflow_builds.py",
    "tests/stacks/test_synthesis.py",
    "tests/build/edge/test_copy.py",
    "tests/build/test_pipeline.py",
)
MARKED = re.compile(rf"\bmark\.({'|'.join(GROUPS)})\b")
OF_MODULE = re.compile(rf"^pytestmark = pytest\.mark\.({'|'.join(GROUPS)})$", re.MULTILINE)
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

    Raise UsageError if it is marked with several, as fast in a folder of heavier ones, or not in its own module, which
    a run of its group would leave out.
    """
    marked = [group for group in GROUPS if item.get_closest_marker(group)]
    if len(marked) > 1:
        raise pytest.UsageError(f"{item.nodeid} belongs to {' and '.join(marked)}; mark it once")
    by_folder = folder_group(item.nodeid)
    if marked == ["fast"] != [by_folder]:
        raise pytest.UsageError(f"{item.nodeid} is fast in a folder of {by_folder}; move it")
    group = marked[0] if marked else by_folder
    if group not in groups_in(item.path, item.nodeid):
        raise pytest.UsageError(f"{item.nodeid} is marked {group} elsewhere; mark it in its module")
    return group


def place_of(item: pytest.Item) -> int:
    """Return the place of a test's module among the longest, behind which all others come."""
    module = item.nodeid.partition("::")[0]
    return LONGEST.index(module) if module in LONGEST else len(LONGEST)


def folder_group(name: str) -> str:
    """Return the group of the tests without a mark in a module."""
    return next((FOLDERS[folder] for folder in FOLDERS if name.startswith(folder)), "fast")


@cache
def groups_in(path: Path, name: str) -> frozenset[str]:
    """Return the groups that tests of a module may belong to, by its folder and by the marks that its text names."""
    text = path.read_text("utf-8")
    of_all = OF_MODULE.search(text)
    return frozenset([of_all[1] if of_all else folder_group(name), *MARKED.findall(text)])


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave modules of other groups out of a run of some: to import them takes longer than many groups' tests."""
    asked = set(config.option.markexpr.split(" or "))
    if not asked <= set(GROUPS):
        return None
    whole = collection_path.is_dir()
    modules = collection_path.rglob("test_*.py") if whole else [collection_path]
    groups = [
        groups_in(path, path.relative_to(config.rootpath).as_posix())
        for path in modules
        if path.match("test_*.py")
    ]
    return True if groups and not any(of_one & asked for of_one in groups) else None


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
    """Mark each test with its group, and put the longest first.

    Raise UsageError for a run of the fast or slow tests that has imported torch to collect them, which takes seconds.
    """
    if config.option.markexpr in ("fast", "fast or slow") and "torch" in sys.modules:
        raise pytest.UsageError(
            "a module of the fast or slow tests imports torch; import it where it is used"
        )
    if gone := left_out(items):
        config.hook.pytest_deselected(items=list(gone))
        items[:] = [item for item in items if item not in gone]
    groups = {item: group_of(item) for item in items}
    for item, group in groups.items():
        item.add_marker(group)
        item.user_properties.append(("group", group))
    items.sort(key=lambda item: (place_of(item), GROUPS.index(groups[item])))


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
