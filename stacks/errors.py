"""Errors of synthesis."""

from collections.abc import Sequence

from contracts.problems import Problem, ProblemsFound


class StackError(ProblemsFound):
    """The deployment cannot be synthesised; lists every problem."""

    code = "stacks_invalid"

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("the stacks cannot be synthesised", problems)
