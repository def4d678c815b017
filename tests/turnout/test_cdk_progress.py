"""The output of `cdk` as a reader sees it: one line for each stack."""

import io
from itertools import count
from pathlib import Path

from rich.console import Console

from turnout.cdk_progress import StackLines
from turnout.progress import steps

# The output of a real `cdk deploy` of the example models into the local cloud, with its 172 lines.
DEPLOYED = Path(__file__).with_name("cdk-deploy.log").read_text("utf-8")


def printed(output: str) -> list[str]:
    lines: list[str] = []
    clock = count()  # one second for each time that it is looked at
    reader = StackLines(say=lines.append, detail=lambda line: None, clock=lambda: next(clock))
    for line in output.splitlines(keepends=True):
        reader.read(line)
    return lines


def test_a_deployment_prints_one_line_for_each_stack_with_its_outcome_and_seconds() -> None:
    assert len(DEPLOYED.splitlines()) > 150
    stacks = printed(DEPLOYED)
    assert sorted(line.split(", ")[0] for line in stacks) == [
        "turnout-router: created",
        "turnout-sentence-embedding-cpu: created",
        "turnout-support-intent-cpu: created",
        "turnout-support-intent-gpu: created",
    ]
    assert all(line.endswith(" s") and float(line.split()[-2]) > 0 for line in stacks)


def test_stacks_side_by_side_are_timed_from_their_own_start() -> None:
    now = [0.0]
    lines: list[str] = []
    reader = StackLines(say=lines.append, detail=lambda line: None, clock=lambda: now[0])
    for seconds, line in (
        (1.0, "a: deploying... [1/2]"),
        (2.0, "b: deploying... [2/2]"),
        (5.0, " ✅  b"),
        (9.0, " ✅  a"),
    ):
        now[0] = seconds
        reader.read(line)
    assert lines == ["b: deployed, 3.0 s", "a: deployed, 8.0 s"]


def test_stacks_that_did_not_change_failed_or_were_removed_are_reported() -> None:
    update = "a | 1/2 | 1:27:22 AM | UPDATE_COMPLETE      | AWS::CloudFormation::Stack | a"
    failed = "\n ❌  b failed: ToolkitError: The stack named b failed to deploy: ROLLBACK_COMPLETE"
    lines = ["a: deploying... [1/2]", update, " ✅  a", " ✅  c (no changes)", failed]
    assert [line.split(", ")[0] for line in printed("\n".join(lines))] == [
        "a: updated",
        "c: no changes",
        "b failed: ToolkitError: The stack named b failed to deploy: ROLLBACK_COMPLETE",
    ]
    gone = printed(
        "d: destroying... [1/1]\n ✅  d: destroyed\n ❌  e: destroy failed Error: in use"
    )
    assert gone == ["d: destroyed, 1.0 s", "e failed: Error: in use"]


def test_the_bootstrap_of_an_account_is_no_stack() -> None:
    assert printed(" ✅  Environment aws://123456789012/us-east-1 bootstrapped.") == []


def test_a_log_keeps_the_steps_and_none_of_the_details() -> None:
    file = io.StringIO()
    with steps(Console(file=file), "deploying") as (step, detail):
        reader = StackLines(say=step, detail=detail)
        for line in DEPLOYED.splitlines():
            reader.read(line)
    lines = file.getvalue().splitlines()
    assert lines[0] == "deploying"
    assert len(lines) == 5
    assert all(line.startswith("  ") for line in lines[1:])


def test_a_terminal_keeps_the_steps_too_and_shows_the_latest_detail() -> None:
    file = io.StringIO()
    console = Console(file=file, force_terminal=True, width=80)
    with steps(console, "deploying") as (step, detail):
        step("turnout-router: created, 5.9 s")
        detail("turnout-router | 4/18 | CREATE_COMPLETE [AWS::DynamoDB::Table]")
    shown = file.getvalue()
    assert "  turnout-router: created, 5.9 s\n" in shown
    assert "CREATE_COMPLETE" in shown
    assert "[AWS::DynamoDB::Table]" not in shown.split("created, 5.9 s")[0]
