"""Problems: each has a stable code, the place where it is, and a sentence that ends with the next step."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Self

from contracts.errors import TurnoutError


class Code(StrEnum):
    """The kinds of problems, each with when it is found. `docs/errors.md` has the same table, with what to do."""

    meaning: str

    def __new__(cls, value: str, meaning: str) -> Self:
        member = str.__new__(cls, value)
        member._value_, member.meaning = value, meaning
        return member

    SETTING_MISSING = "setting_missing", "A key that models.toml needs is not in it."
    SETTING_UNKNOWN = "setting_unknown", "models.toml has a key that there is not."
    SETTING_INVALID = "setting_invalid", "A setting has a value that it cannot have."
    MODEL_UNKNOWN = "model_unknown", "models.toml has no model of the name that was given."
    FILE_MISSING = "file_missing", "A file or folder that is named or needed is not there."
    FILE_DAMAGED = "file_damaged", "A file is cut short, unreadable, or contradicts itself."
    FILE_OUTSIDE = "file_outside", "A file names another one outside of its own folder."
    FORMAT_UNKNOWN = "format_unknown", "A source is in no format that can be built."
    FORMAT_AMBIGUOUS = "format_ambiguous", "A source holds more than one model."
    FORMAT_UNSUPPORTED = (
        "format_unsupported",
        "A format is known, but not in this version or variant.",
    )
    ARCHITECTURE_UNSUPPORTED = (
        "architecture_unsupported",
        "An architecture, or a part of it, cannot be built.",
    )
    TASK_UNSUPPORTED = "task_unsupported", "A source of this kind cannot serve the task."
    OPERATOR_UNSUPPORTED = "operator_unsupported", "A graph has operators that cannot be run."
    INPUTS_UNSUPPORTED = "inputs_unsupported", "A graph's inputs cannot be filled with texts."
    OUTPUTS_UNSUPPORTED = "outputs_unsupported", "A graph's outputs are not those of the task."
    POOLING_UNSUPPORTED = (
        "pooling_unsupported",
        "A text's vector is made in a way that is not known.",
    )
    TOKENIZER_MISSING = "tokenizer_missing", "No tokenizer is with the model or named."
    TOKENIZER_MISMATCH = "tokenizer_mismatch", "The tokenizer is not the one of the model."
    TOKENIZER_UNSUPPORTED = "tokenizer_unsupported", "The tokenizer is of a kind that is not known."
    LABELS_MISSING = "labels_missing", "Nothing says what a classifier's outputs are called."
    LABELS_MISMATCH = "labels_mismatch", "Labels do not fit the model, the task or the rows."
    LENGTH_MISSING = "length_missing", "Nothing says how many tokens the model reads."
    LENGTH_INVALID = "length_invalid", "max_tokens is more or less than the model can read."
    WEIGHTS_INCOMPLETE = "weights_incomplete", "Weights are missing, or there are too many."
    WEIGHTS_NOT_FINITE = "weights_not_finite", "Weights or outputs have NaN or infinity."
    PICKLE_REFUSED = "pickle_refused", "Weights are in a pickle, which can run code when loaded."
    MEMORY_SHORT = "memory_short", "A step of a build takes more memory than there is."
    REFERENCE_FAILED = "reference_failed", "The model's own library cannot load or run it."
    CONVERTER_MISSING = (
        "converter_missing",
        "TensorFlow, which converts the source, is not installed.",
    )
    NOT_FETCHED = "not_fetched", "A remote source is not on this machine yet."
    FETCH_FAILED = "fetch_failed", "A remote source cannot be downloaded."
    ROWS_MISSING = "rows_missing", "There are no rows under `eval`."
    ROWS_INVALID = "rows_invalid", "Rows are not in the form of the task."
    ARTEFACT_MISSING = "artefact_missing", "No artefact has been built where one is needed."
    ARTEFACT_BROKEN = "artefact_broken", "An artefact does not hold what its manifest says."
    INSTANCE_UNKNOWN = "instance_unknown", "The price table does not have the instance type."


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that a user can mend. `where` is a key, a file or a line; empty until a caller knows it."""

    code: Code
    message: str
    where: str = ""

    def __str__(self) -> str:
        return f"{self.where}: {self.message}" if self.where else self.message

    def within(self, place: object) -> Self:
        """Return the same problem with the place put in front of where it is."""
        return replace(self, where=f"{place}: {self.where}" if self.where else str(place))


class ProblemsFound(TurnoutError):
    """Several problems at once, so that a user mends all of them before the next try."""

    code = "problems_found"

    def __init__(self, where: object, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        noun = "problem" if len(self.problems) == 1 else "problems"
        # The code stands behind each line, where mypy and ruff have it: the sentence is read first.
        lines = [f"  {problem} [{problem.code}]" for problem in self.problems]
        super().__init__("\n".join([f"{where}: {len(self.problems)} {noun}", *lines]))
