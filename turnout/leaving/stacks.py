"""Deletion of stacks: GPUs first, since they are paid for by the hour. None needs another one to be deleted."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from contracts.tasks import Tier
from turnout.deployed.clients import Client, code_of, refusal
from turnout.deployed.stacks import Stack
from turnout.progress import Say

# A table goes within a second, an endpoint takes minutes.
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.2, 5.0
TIERS = (f"-{Tier.GPU}", f"-{Tier.CPU}")


def growing() -> Iterator[None]:
    """Wait before each item, for longer and longer."""
    seconds = FIRST_PAUSE_S
    while True:
        time.sleep(seconds)
        yield
        seconds = min(seconds * 1.5, LONGEST_PAUSE_S)


@dataclass(slots=True)
class StackDeletion:
    """One run of deletions; `problems` has a sentence for each stack that is still there."""

    client: Client
    say: Say
    problems: list[str] = field(default_factory=list)

    def run(self, stacks: Sequence[Stack]) -> None:
        """Delete stacks and wait for each: those of GPUs, of CPUs, and the others; those of one tier side by side."""
        for tier in TIERS:
            self._delete([one for one in stacks if one.name.endswith(tier)])
        self._delete([one for one in stacks if not one.name.endswith(TIERS)])

    def _delete(self, stacks: Sequence[Stack]) -> None:
        begun = [stack for stack in stacks if self._begin(stack)]
        pauses = growing()
        while begun:
            next(pauses)
            begun = [stack for stack in begun if not self._ended(stack)]

    def _begin(self, stack: Stack) -> bool:
        """Return True once a deletion has begun; a stack that AWS refuses to delete becomes a problem."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            self.client.delete_stack(StackName=stack.identity)
        except (BotoCoreError, ClientError) as error:
            message, step = refusal(error)
            self.problems.append(f"{stack.name}: {message}; {step}")
            return False
        self.say(f"{stack.name}: is being deleted")
        return True

    def _ended(self, stack: Stack) -> bool:
        """Return True for a stack that is deleted, or that could not be, which becomes a problem."""
        status, reason = self._status(stack)
        if status == "DELETE_COMPLETE":
            self.say(f"{stack.name}: deleted")
        elif not status.endswith("_IN_PROGRESS"):
            self.problems.append(f"{stack.name}: {status}: {reason}")
        return not status.endswith("_IN_PROGRESS")

    def _status(self, stack: Stack) -> tuple[str, str]:
        from botocore.exceptions import ClientError

        try:
            found = self.client.describe_stacks(StackName=stack.identity)["Stacks"][0]
        except ClientError as error:
            if code_of(error) == "ValidationError":  # it is not known any more
                return "DELETE_COMPLETE", ""
            raise
        return str(found["StackStatus"]), str(found.get("StackStatusReason", ""))
