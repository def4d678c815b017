"""The limits of a function on Lambda: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html."""

from dataclasses import dataclass

from contracts.limits import LAMBDA_MB_PER_VCPU, LAMBDA_MEMORY_MB

# File descriptors, and processes and threads together.
FILES = PROCESSES = 1024
TMP_MB = 512
# The user of a function, as the id and the home folder of Lambda's environments show it (`sbx_user1051`).
USER, GROUP = 993, 990


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The share of a machine that a function gets: memory in MiB, and of processors what that memory buys."""

    memory_mb: int

    @property
    def cpus(self) -> float:
        return self.memory_mb / LAMBDA_MB_PER_VCPU


# The smallest function that Lambda has.
LEAST = Limits(memory_mb=LAMBDA_MEMORY_MB[0])
