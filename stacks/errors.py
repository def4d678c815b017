"""What keeps a deployment from being synthesised."""

from collections.abc import Sequence

from contracts.errors import TurnoutError


class StackError(TurnoutError):
    """The deployment cannot be synthesised; lists every reason, each with what to do."""

    code = "stacks_invalid"

    def __init__(self, reasons: Sequence[str]) -> None:
        self.reasons = tuple(reasons)
        super().__init__(
            "\n".join(["the stacks cannot be synthesised:", *(f"  {r}" for r in reasons)])
        )
