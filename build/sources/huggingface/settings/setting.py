"""One setting of a model's files, and the effect that it has on an artefact."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

# What reads a setting that decides the weights and operators of the model itself: its own library, when it is exported.
GRAPH = "the exported graph"


class Effect(StrEnum):
    """The ways in which a setting is dealt with."""

    HONOURED = "honoured"
    HARMLESS = "harmless"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One key of a file, at its top.

    `why` is what an honoured setting decides, why a harmless one changes no answer, or what a refused one would do.
    `read_by` names the code that reads an honoured one, as a module and a function below `build.sources.huggingface` or
    in `build.tasks`, or is `GRAPH`. Of a refused one, `fine` are the values that are let through, and `advice` is the
    next step.
    """

    key: str
    effect: Effect
    why: str
    read_by: str = ""
    fine: tuple[Any, ...] = ()
    advice: str = ""

    def refuses(self, value: Any) -> bool:
        """Return whether a build stops at that value; null is as good as no key."""
        return self.effect is Effect.REFUSED and value is not None and value not in self.fine


def honoured(read_by: str, why: str, *keys: str) -> tuple[Setting, ...]:
    """Return honoured settings that the same code reads."""
    return tuple(
        Setting(key=key, effect=Effect.HONOURED, why=why, read_by=read_by) for key in _each(keys)
    )


def graph(why: str, *keys: str) -> tuple[Setting, ...]:
    """Return settings that decide what the exported graph computes."""
    return honoured(GRAPH, why, *keys)


def harmless(why: str, *keys: str) -> tuple[Setting, ...]:
    """Return settings that change no answer, for one reason."""
    return tuple(Setting(key=key, effect=Effect.HARMLESS, why=why) for key in _each(keys))


def refused(why: str, advice: str, *keys: str, fine: Iterable[Any] = ()) -> tuple[Setting, ...]:
    """Return settings that stop a build unless they have one of the `fine` values."""
    return tuple(
        Setting(key=key, effect=Effect.REFUSED, why=why, advice=advice, fine=tuple(fine))
        for key in _each(keys)
    )


def _each(keys: Iterable[str]) -> list[str]:
    return " ".join(keys).split()
