"""docs/routing.md against the tables of the code."""

import re

from contracts.http_errors import ServingError
from functions.router.http.metrics import metrics
from functions.router.targets.failures import ANSWERS, BY_STATUS, ON_THE_WAY, Meaning
from functions.router.targets.health import Condition
from tests.fixtures.paths import ROOT

TEXT = (ROOT / "docs/routing.md").read_text("utf-8")


def row(what: str, meaning: Meaning) -> str:
    state = "" if meaning.condition is Condition.READY else f"`{meaning.condition}`"
    error: type[ServingError] = meaning.error
    return f"| {what} | {state} | {error.status} `{error.code}` | {'yes' if meaning.elsewhere else 'no'} |"


def table() -> str:
    """Return the table of answers as the code has it."""
    rows = ["| answer | state | status | tried elsewhere |", "|---|---|---|---|"]
    for answer in ANSWERS:
        codes = ", ".join(f"`{code}`" for code in answer.codes)
        rows.append(row(f"{codes}: “{answer.says}”" if answer.says else codes, answer.meaning))
    rows += [row(f"`ModelError` with status {s}", meaning) for s, meaning in BY_STATUS.items()]
    rows += [row(f"botocore's `{name}`", meaning) for name, meaning in ON_THE_WAY.items()]
    return "\n".join(rows)


def test_the_table_of_errors_is_that_of_the_code() -> None:
    shown = TEXT.split("<!-- answers -->\n")[1].split("\n<!-- end of answers -->")[0]
    assert shown == table()


def test_every_state_is_documented() -> None:
    section = TEXT.split("| state | what is known |")[1].split("\n\n")[0]
    assert re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE) == [*Condition]


def test_every_metric_is_documented_with_its_dimensions() -> None:
    section = TEXT.split("\n## Metrics\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| ([\w, ]+) \|", section, re.MULTILINE)
    fields = {"tier": "cpu", "status": 200, "fallback": 1, "escalated": 1, "first_ms": 9.5}
    fields |= {"tokens": 7, "confidence": 0.9}
    said = metrics("shop", fields)["_aws"]["CloudWatchMetrics"]
    known = {
        (metric["Name"], ", ".join(dimensions))
        for directive in said
        for dimensions in directive["Dimensions"]
        for metric in directive["Metrics"]
    }
    assert set(rows) == known
