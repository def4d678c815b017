"""The error of a push, which lists every problem with its code."""

from typing import Self

from contracts.problems import Code, Problem, ProblemsFound


class PushFailed(ProblemsFound):
    """Weights cannot be pushed; what was sent stays, and the next push goes on from there."""

    code = "weights_push_failed"

    @classmethod
    def about(cls, where: object, code: Code, message: str) -> Self:
        return cls(where, [Problem(code=code, message=message)])
