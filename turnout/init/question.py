"""The question which task a model is for, asked only where several fit, and only on a terminal."""

from collections.abc import Sequence

from rich.console import Console

from contracts.api.registry import APIS
from contracts.errors import TurnoutError
from contracts.tasks import Task


class TaskUndecided(TurnoutError):
    """Several tasks fit a model, and nobody is there to choose one."""

    code = "task_undecided"


def choose(source: object, tasks: Sequence[Task], console: Console, *, answers: bool) -> Task:
    """Return the one task that fits, or the user's choice of several; raise TaskUndecided without a user.

    `answers` says whether a user reads the question and can answer it.
    """
    if len(tasks) == 1:
        return tasks[0]
    if not answers:
        choices = " or ".join(f"--task {task}" for task in tasks)
        raise TaskUndecided(f"{source} fits more than one task; say which it is for: {choices}")
    console.print(f"{source} fits more than one task:", markup=False, soft_wrap=True)
    for number, task in enumerate(tasks, start=1):
        console.print(f"  {number}  {task}: {APIS[task].summary.lower()}", markup=False)
    while True:
        try:
            answer = console.input(f"Which one is it for? (1 to {len(tasks)}) ").strip()
        except EOFError as error:
            raise TaskUndecided(f"{source}: no task was chosen; name one by --task") from error
        if answer in tasks:
            return Task(answer)
        if answer.isdecimal() and 1 <= int(answer) <= len(tasks):
            return tasks[int(answer) - 1]
