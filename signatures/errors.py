"""Errors of signatures."""

from collections.abc import Sequence

from contracts.problems import Code, Problem, ProblemsFound


class SigningFailed(ProblemsFound):
    """Something cannot be signed, or not be vouched for; lists every problem."""

    code = "signing_failed"

    def __init__(self, where: object, problems: Sequence[Problem]) -> None:
        super().__init__(where, problems)


class Refused(Exception):
    """One signature, key or folder that is not trusted; the caller adds the place and collects the problems."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.problem = Problem(code=code, message=message)
