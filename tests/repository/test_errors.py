"""The errors that users see: one tree, a code for each, and a page that explains all of them."""

import ast
import re
from collections import Counter
from functools import cache

import pytest

from contracts.http_errors import ERRORS
from contracts.problems import Code
from tests.fixtures.paths import ROOT
from turnout.terminal import FILE_INACCESSIBLE

PACKAGES = ("build", "contracts", "functions", "images", "local", "signatures", "stacks", "turnout")


@cache
def classes() -> tuple[ast.ClassDef, ...]:
    """Return every class of our packages; read once, since that takes seconds."""
    return tuple(
        node
        for package in PACKAGES
        for path in sorted((ROOT / package).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.ClassDef)
    )


def seen_by_users() -> dict[str, ast.ClassDef]:
    """Return the classes that derive from TurnoutError, by name; read and not imported, as torch would be with them."""
    found = {"TurnoutError": next(node for node in classes() if node.name == "TurnoutError")}
    while True:
        more = {
            node.name: node
            for node in classes()
            if node.name not in found and found.keys() & {ast.unparse(base) for base in node.bases}
        }
        if not more:
            return found
        found |= more


def codes(node: ast.ClassDef) -> list[str]:
    """Return the values given to `code` in the body of the class."""
    return [
        _code(line.value)
        for line in node.body
        if isinstance(line, (ast.Assign, ast.AnnAssign))
        and line.value
        and "code" in ast.unparse(line).split("=")[0].split(":")[0].split()
    ]


def _code(value: ast.expr) -> str:
    """Return the text itself, or the member of `Code` that a problem has as well."""
    return Code[value.attr] if isinstance(value, ast.Attribute) else str(ast.literal_eval(value))


@pytest.mark.slow
def test_every_error_that_users_see_has_a_code_of_its_own() -> None:
    found = {name: codes(node) for name, node in seen_by_users().items()}
    assert len(found) > 20
    assert [name for name, own in found.items() if len(own) != 1] == []
    used = Counter(code for own in found.values() for code in own)
    assert [code for code, count in used.items() if count > 1 or code.lower() != code] == []


def table(heading: str) -> dict[str, list[str]]:
    """Return the rows of one table of docs/errors.md, by their code."""
    text = (ROOT / "docs/errors.md").read_text("utf-8")
    (section,) = re.findall(rf"^## {heading}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in section.splitlines()
        if line.startswith("| `")
    ]
    found = {code.strip("`"): rest for code, *rest in rows}
    assert len(found) == len(rows)
    return found


def test_the_page_has_every_code_of_a_problem_with_its_meaning() -> None:
    assert {code: row[0] for code, row in table("Problems").items()} == {
        code.value: code.meaning for code in Code
    }


def test_the_page_has_every_code_that_a_command_ends_with() -> None:
    # TurnoutError and ProblemsFound are never raised themselves.
    never = {"TurnoutError", "ProblemsFound", *(kind.__name__ for kind in ERRORS.values())}
    raised = {
        code for name, node in seen_by_users().items() if name not in never for code in codes(node)
    }
    assert set(table("Commands")) == {*raised, FILE_INACCESSIBLE}


def test_the_page_has_every_code_that_the_endpoint_answers_with() -> None:
    served = {code: str(kind.status) for code, kind in ERRORS.items()}
    # What Starlette itself answers for a path and for a method that are not part of the API.
    served |= {"not_found": "404", "method_not_allowed": "405"}
    assert {code: row[0] for code, row in table("HTTP").items()} == served
