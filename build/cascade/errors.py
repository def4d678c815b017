"""The error of a calibration; nothing is written then."""

from collections.abc import Sequence

from contracts.problems import Problem, ProblemsFound


class CalibrationFailed(ProblemsFound):
    """The cascade of a model cannot be calibrated with what was given; lists every problem."""

    code = "calibration_failed"

    def __init__(self, model: str, problems: Sequence[Problem]) -> None:
        super().__init__(f"the cascade of {model} cannot be calibrated", problems)
