"""docs/openai.md against the operations of the code."""

import re

from contracts.http_errors import ERRORS
from functions.router.openai.errors import CODES, STATUSES
from functions.router.openai.schemas import OPERATIONS
from tests.fixtures.paths import ROOT

TEXT = (ROOT / "docs/openai.md").read_text("utf-8")


def rows() -> list[str]:
    """Return the rows of the table of keys as the code has it."""
    found = []
    for name, operation in OPERATIONS.items():
        found += [f"| `{name}` | `{one.name}` | {one.description} |" for one in operation.keys]
        found += [
            f"| `{name}` | `{key}` | by vLLM alone; elsewhere no: {one.why} |"
            for key, one in operation.passed.items()
        ]
        found += [
            f"| `{name}` | `{key}` | no: {one.why} |" for key, one in operation.absent.items()
        ]
    return found


def test_the_table_of_keys_is_that_of_the_code() -> None:
    shown = TEXT.split("<!-- keys -->\n")[1].split("\n<!-- end of keys -->")[0]
    assert shown.splitlines()[2:] == rows()


def test_every_task_of_an_operation_is_named() -> None:
    for name, operation in OPERATIONS.items():
        tasks = ", ".join(f"`{task}`" for task in operation.tasks)
        assert f"| `POST /v1/{name}` | {tasks} |" in TEXT


def test_the_errors_of_requests_have_their_status_and_their_code() -> None:
    shown = set(re.findall(r"^\| (\d{3}) \| `(\w+)` \|", TEXT, re.MULTILINE))
    errors = [error for error in ERRORS.values() if error.status < 500]
    assert shown == {
        (str(STATUSES.get(e.code, e.status)), CODES.get(e.code, e.code)) for e in errors
    }
