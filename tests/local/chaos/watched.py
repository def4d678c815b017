"""Faults without a cloud: the copies that they take away, a clock that tests set, and what is said."""

from dataclasses import dataclass, field

from local.chaos.running import Chaos, ComponentCopies


@dataclass(slots=True)
class Watched:
    """Faults on a clock of the test's own, with what they say, and what they have done to copies."""

    now: float = 1_000.0
    said: list[str] = field(default_factory=list)
    lost: dict[str, float] = field(default_factory=dict)
    restored: list[str] = field(default_factory=list)

    def chaos(self) -> Chaos:
        def restore(name: str) -> None:
            self.restored.append(name)
            self.lost.pop(name, None)

        copies = ComponentCopies(
            lose=lambda name, wake_s: self.lost.update({name: wake_s}),
            have=lambda name: name not in self.lost,
            restore=restore,
        )
        return Chaos(copies, report=self.said.append, clock=lambda: self.now)


def calm() -> Chaos:
    """Return faults of which there are none."""
    return Watched().chaos()
