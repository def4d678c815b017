"""The settings of a model's config.json, each with the kind that it must have; everything wrong is found at once."""

from collections.abc import Mapping, Sequence
from typing import Any

from contracts.problems import Code, Problem, ProblemsFound

FILE = "config.json"
# Characters of a value that a message shows.
MAX_SHOWN = 40


class Unsized(ProblemsFound):
    """A model's memory cannot be computed; lists every setting that is missing, wrong or not known."""

    code = "unsized"


class Config:
    """One config.json; what is wrong with the settings that were asked for is kept until `check` raises it."""

    def __init__(self, document: Mapping[str, Any], where: object = FILE) -> None:
        self.document = document
        self.where = where
        self.problems: list[Problem] = []

    def whole(self, *keys: str, default: int | None = None, minimum: int = 1) -> int:
        """Return the whole number under the first of `keys` that has one, else `default`.

        Without a default a missing number is a problem, and `minimum` stands for it and for every other value.
        """
        key = next((key for key in keys if self.document.get(key) is not None), "")
        if not key:
            return self._missing(keys, minimum) if default is None else default
        value = self.document[key]
        if isinstance(value, int) and not isinstance(value, bool) and value >= minimum:
            return value
        advice = "; write it without quotes" if isinstance(value, str) else ""
        self._invalid(key, f"where a whole number of at least {minimum} has to be{advice}")
        return minimum

    def flag(self, *keys: str, default: bool = False) -> bool:
        """Return the truth value under the first of `keys` that has one, else `default`."""
        key = next((key for key in keys if self.document.get(key) is not None), "")
        value = self.document[key] if key else default
        if isinstance(value, bool):
            return value
        self._invalid(key, "where true or false has to be")
        return default

    def words(self, key: str) -> tuple[str, ...]:
        """Return the texts of a list, none where there is no list."""
        value = self.document.get(key)
        if value is None:
            return ()
        if isinstance(value, list) and all(isinstance(word, str) for word in value):
            return tuple(value)
        self._invalid(key, "where a list of texts has to be")
        return ()

    def numbers(self, key: str) -> tuple[int, ...]:
        """Return the whole numbers of a list, none where there is no list."""
        value = self.document.get(key)
        if value is None:
            return ()
        if isinstance(value, list) and all(type(number) is int for number in value):
            return tuple(value)
        self._invalid(key, "where a list of whole numbers has to be")
        return ()

    def refuse(self, key: str, why: str, code: Code = Code.SETTING_INVALID) -> None:
        """Keep a problem with a setting, once however often the setting is asked for."""
        problem = Problem(code=code, where=f"`{key}`", message=why)
        if problem not in self.problems:
            self.problems.append(problem)

    def check(self) -> None:
        """Raise Unsized if anything that was asked for is wrong."""
        if self.problems:
            raise Unsized(self.where, self.problems)

    def _missing(self, keys: Sequence[str], placeholder: int) -> int:
        others = f" (or {', '.join(keys[1:])})" if keys[1:] else ""
        self.refuse(
            keys[0],
            f"is not there{others}; give it the whole number that the model was made with",
            Code.SETTING_MISSING,
        )
        return placeholder

    def _invalid(self, key: str, wanted: str) -> None:
        self.refuse(key, f"is {self.document[key]!r:.{MAX_SHOWN}}, {wanted}")
