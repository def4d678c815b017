"""The errors of a build. Each message ends with the next step.

BuildError
├── SourceError          a source folder or its labelled rows cannot be used; lists every problem
├── ExportFailed         the model could not be turned into ONNX
├── ReadingDiffers       in full precision a model is answered for unlike by its own library
├── GateFailed           no candidate answers enough like the reference
├── EdgeDiffers          the edge copy does not answer like the artefact that it is of
├── NoSpace              a disk is full
└── LayersNotComparable  the layers of a model cannot be compared
"""

from collections.abc import Sequence
from typing import Self

from contracts.errors import TurnoutError
from contracts.problems import Code, Problem, ProblemsFound

MAX_PROBLEMS = 10


# Characters of another library's message that are repeated in ours.
MAX_MESSAGE_CHARS = 300


class BuildError(TurnoutError):
    """A build cannot go on; the base of all others."""

    code = "build_failed"


class SourceError(ProblemsFound, BuildError):
    """Source folders or labelled rows cannot be used."""

    code = "source_unusable"

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("sources and rows", problems)

    @classmethod
    def about(cls, where: object, code: Code, message: str) -> Self:
        """Return the error of one problem, with the place where it is."""
        return cls([Problem(code=code, where=str(where), message=message)])


class ExportFailed(BuildError):
    """The model cannot be turned into ONNX."""

    code = "export_failed"


class ReadingDiffers(BuildError):
    """In full precision a row is answered unlike by the model's own library, so the build misreads the source."""

    code = "reading_differs"


class GateFailed(BuildError):
    """No candidate answers enough like the reference; an older artefact stays as it was."""

    code = "gate_failed"


class EdgeDiffers(BuildError):
    """The edge copy does not answer like its artefact; an older copy stays as it was."""

    code = "edge_differs"


class NoSpace(BuildError):
    """A disk is full; what is published stays as it was, and candidates that were made are kept."""

    code = "disk_full"


class LayersNotComparable(BuildError):
    """The golden rows of a model cannot be fed to its graphs one by one."""

    code = "layers_not_comparable"


def some_of(names: Sequence[str], most: int) -> str:
    """Return the first of many names, and the number of the rest."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def one_line(error: BaseException) -> str:
    """Return another library's error in one line: its type and the first line of its message."""
    first = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    return f"{type(error).__name__}: {first[:MAX_MESSAGE_CHARS]}" if first else type(error).__name__
