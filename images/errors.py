"""Errors of images."""

from collections.abc import Sequence

from contracts.problems import Problem, ProblemsFound


class ImageError(ProblemsFound):
    """An image cannot be made, or not be read; lists every problem."""

    code = "image_failed"

    def __init__(self, where: object, problems: Sequence[Problem]) -> None:
        super().__init__(where, problems)


class PushError(ProblemsFound):
    """An image cannot be sent to a registry; lists every problem."""

    code = "push_failed"

    def __init__(self, where: object, problems: Sequence[Problem]) -> None:
        super().__init__(where, problems)


class RunError(ProblemsFound):
    """A made image cannot be run on this machine; lists every problem."""

    code = "run_failed"

    def __init__(self, where: object, problems: Sequence[Problem]) -> None:
        super().__init__(where, problems)
