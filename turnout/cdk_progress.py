"""The progress of a deployment, read from the output of the CDK command line: one line for each stack.

`cdk` prints every event of every resource, a hundred lines for two models. They are for its log; a reader wants to know
which stacks are there and how long each took.
"""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from turnout.progress import Say

# The lines of the CDK's version that package.json pins.
STARTED = re.compile(r"(\S+): (?:deploying|destroying)\.\.\.")
# The event of a stack as a whole, whose status says whether it was new: `NAME | 7/8 | TIME | STATUS | TYPE | NAME`.
STACK_EVENT = re.compile(
    r"(\S+) \|.*\| (CREATE|UPDATE)_COMPLETE +\| AWS::CloudFormation::Stack +\|"
)
FINISHED = re.compile(
    r"✅\s+(?P<stack>\S+?)(?:: (?P<removed>destroyed)| \((?P<same>no changes)\))?"
)
FAILED = re.compile(r"❌\s+(\S+?):? (?:failed|\w+ failed):? (.+)")
CHANGED = {"CREATE": "created", "UPDATE": "updated"}


@dataclass(slots=True, kw_only=True)
class StackLines:
    """A reader of lines that `cdk` prints: reports a stack when it is done, and shows every line as a detail.

    The time is counted from the stack's own first line: stacks are deployed side by side, so the time that `cdk` prints
    behind one may stand behind another.
    """

    say: Say
    detail: Say
    clock: Callable[[], float] = time.monotonic
    _started: dict[str, float] = field(default_factory=dict)
    _changed: dict[str, str] = field(default_factory=dict)

    def read(self, line: str) -> None:
        """Take the next line of the output."""
        line = line.strip()
        if not line:
            return
        if started := STARTED.match(line):
            self._started[started[1]] = self.clock()
        elif event := STACK_EVENT.match(line):
            self._changed[event[1]] = CHANGED[event[2]]
        elif finished := FINISHED.fullmatch(line):
            self._finish(finished)
        elif failed := FAILED.match(line):
            self.say(f"{failed[1]} failed: {failed[2]}")
        self.detail(line)

    def _finish(self, found: re.Match[str]) -> None:
        stack = found["stack"]
        outcome = found["removed"] or found["same"] or self._changed.get(stack, "deployed")
        seconds = self.clock() - self._started.get(stack, self.clock())
        self.say(f"{stack}: {outcome}, {seconds:.1f} s")
