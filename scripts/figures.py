"""Figures of the code base itself: size, folders, imports, docstrings, comments, and test times by group.

`python -m scripts.figures [--repo DIR] [--tests junit.xml] [--json]` reads a checkout without importing any of it.
Test times come from a report that `pytest --junitxml` wrote; the group of a test is a property in it.
"""

import argparse
import ast
import io
import json
import re
import subprocess
import sys
import tokenize
import xml.etree.ElementTree as ElementTree
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import grimp

PACKAGES = (
    "build",
    "contracts",
    "functions",
    "images",
    "local",
    "reference",
    "signatures",
    "stacks",
    "turnout",
)
CODE = (*PACKAGES, "benchmarks", "examples", "scripts")
# Openings that describe a thing instead of naming it or saying what a function does.
NO_VERB = re.compile(r"(What|Whether|How)\b")
MAX_MODULES = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """One checkout in numbers; `circles` are sets of modules that import each other, directly or not."""

    modules: int
    lines: int
    test_modules: int
    test_lines: int
    functions: int
    folders: dict[str, int]
    circles: list[list[str]]
    broken_contracts: list[str]
    docstrings: int
    no_verb: list[str]
    comments_per_100_lines: float
    seconds: dict[str, float]
    tests: dict[str, int]


def tracked(repo: Path, *folders: str) -> list[Path]:
    """Return the Python files under version control in the folders."""
    listed = subprocess.run(
        ["git", "ls-files", "--", *(f"{folder}/*.py" for folder in folders)],
        cwd=repo,
        capture_output=True,
        text=True,
        check=True,
    )
    return [repo / line for line in listed.stdout.splitlines()]


def circles(repo: Path) -> list[list[str]]:
    """Return every set of modules that reach each other by imports, lazy ones included."""
    # grimp finds packages by the import path.
    sys.path.insert(0, str(repo))
    graph = grimp.build_graph(*PACKAGES, cache_dir=None)
    upstream = {module: graph.find_upstream_modules(module) for module in graph.modules}
    found = {
        frozenset({module, *(other for other in upstream[module] if module in upstream[other])})
        for module in graph.modules
    }
    return sorted(sorted(circle) for circle in found if len(circle) > 1)


def broken_contracts(repo: Path) -> list[str]:
    """Return the import contracts that do not hold; upward imports in `build` break one of them."""
    tool = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run(
        [tool, "--no-cache"], cwd=repo, capture_output=True, text=True, check=False
    )
    return re.findall(r"^(.+) BROKEN$", done.stdout, re.MULTILINE)


def docstrings(path: Path) -> Iterator[tuple[str, str]]:
    """Yield the place and text of each docstring in a file."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            if text := ast.get_docstring(node):
                yield f"{path}:{getattr(node, 'lineno', 1)}", text


def without_verb(repo: Path, *folders: str) -> list[str]:
    """Return the places of docstrings that begin with What, Whether or How."""
    found = (entry for path in tracked(repo, *folders) for entry in docstrings(path))
    return [place for place, text in found if NO_VERB.match(text)]


def crowded(repo: Path) -> dict[str, int]:
    """Return the folders of more than MAX_MODULES modules, `__init__` not counted, with their number."""
    modules = Counter(
        str(path.parent.relative_to(repo))
        for path in tracked(repo, *CODE, "tests")
        if path.name != "__init__.py"
    )
    return {folder: count for folder, count in modules.most_common() if count > MAX_MODULES}


def comments(path: Path) -> int:
    """Count the lines that carry a comment; directives to tools are none."""
    tokens = tokenize.generate_tokens(io.StringIO(path.read_text("utf-8")).readline)
    return sum(
        token.type == tokenize.COMMENT and not re.match(r"#\s*(noqa|type:|!)", token.string)
        for token in tokens
    )


def test_times(report: Path) -> tuple[dict[str, float], dict[str, int]]:
    """Return seconds and numbers of tests by group, from a JUnit report."""
    seconds: defaultdict[str, float] = defaultdict(float)
    tests: Counter[str] = Counter()
    for case in ElementTree.parse(report).iter("testcase"):
        marks = [p.get("value", "") for p in case.iter("property") if p.get("name") == "group"]
        group = marks[0] if marks else "all"
        seconds[group] += float(case.get("time", 0))
        tests[group] += 1
    return {group: round(took, 1) for group, took in seconds.items()}, dict(tests)


def measure(repo: Path, report: Path | None) -> Figures:
    code, tests = tracked(repo, *CODE), tracked(repo, "tests")
    lines = sum(len(path.read_text("utf-8").splitlines()) for path in code)
    took, counted = test_times(report) if report else ({}, {})
    return Figures(
        modules=len(code),
        lines=lines,
        test_modules=len(tests),
        test_lines=sum(len(path.read_text("utf-8").splitlines()) for path in tests),
        functions=sum(
            isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            for path in code
            for node in ast.walk(ast.parse(path.read_text("utf-8")))
        ),
        folders=crowded(repo),
        circles=circles(repo),
        broken_contracts=broken_contracts(repo),
        docstrings=sum(1 for path in code for _ in docstrings(path)),
        no_verb=without_verb(repo, *CODE),
        comments_per_100_lines=round(100 * sum(map(comments, code)) / lines, 2),
        seconds=took,
        tests=counted,
    )


def report(figures: Figures) -> str:
    """Return the figures as lines of text."""
    most = "; ".join(f"{name} {n}" for name, n in figures.folders.items()) or "none"
    lines = [
        f"modules {figures.modules}, lines {figures.lines:,}, functions {figures.functions:,}",
        f"test modules {figures.test_modules}, lines {figures.test_lines:,}",
        f"folders of more than {MAX_MODULES} modules: {most}",
        f"circles of imports: {len(figures.circles)}",
        *(f"  {', '.join(circle)}" for circle in figures.circles),
        f"broken import contracts: {len(figures.broken_contracts)}",
        *(f"  {name}" for name in figures.broken_contracts),
        f"docstrings {figures.docstrings:,}, that begin with What, Whether or How: {len(figures.no_verb)}",
        f"comments in 100 lines: {figures.comments_per_100_lines}",
        *(f"tests {group}: {n}, {figures.seconds[group]} s" for group, n in figures.tests.items()),
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m scripts.figures", description=__doc__)
    parser.add_argument("--repo", type=Path, default=Path.cwd(), help="the checkout to measure")
    parser.add_argument("--tests", type=Path, help="a report of `pytest --junitxml`")
    parser.add_argument("--json", action="store_true", help="print JSON rather than lines")
    given = parser.parse_args()
    figures = measure(given.repo.resolve(), given.tests)
    print(json.dumps(asdict(figures), indent=2) if given.json else report(figures))


if __name__ == "__main__":
    main()
