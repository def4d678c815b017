"""The error of a verification that cannot be done."""

from contracts.problems import ProblemsFound


class VerifyFailed(ProblemsFound):
    """A deployed model cannot be verified; nothing was recorded."""

    code = "verify_failed"
