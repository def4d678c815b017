"""What a library raises over a source, said in the source's name: what was being done, the error and the next step.

Libraries have errors of many kinds, and none of them knows the source; ours pass through as they are.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from build.errors import BuildError, ExportFailed, SourceError, one_line
from build.sources.source import Source, Unusable
from build.workspace.publish import full
from contracts.problems import Code, Problem

# How libraries say that they got no memory, where they do not raise MemoryError.
NO_MEMORY = ("bad_alloc", "bad allocation", "can't allocate memory", "Failed to allocate memory")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A part of a build in words, what to look at where it fails, and whether the source's files are to blame."""

    what: str
    advice: str
    blames_source: bool


EXPORTING = Stage(
    what="making ONNX graphs of it",
    advice="check that its own library loads it, and that its operators and tensors are whole; save it again",
    blames_source=False,
)
MAKING_CANDIDATE = Stage(
    what="making a candidate of it",
    advice='`quantize = "none"` in its tier\'s table has none made with smaller weights',
    blames_source=False,
)
RUNNING_REFERENCE = Stage(
    what="asking the original",
    advice="check that its own library answers these rows, and that its tokenizer belongs to it; save it again",
    blames_source=True,
)


@contextlib.contextmanager
def naming_source(source: Source, folder: Path, doing: Stage) -> Iterator[None]:
    """Raises ExportFailed, or SourceError, for what was not foreseen; `folder` is where the build writes.

    That its disk is full is left to be told by who knows the disk.
    """
    try:
        yield
    except BuildError:
        raise
    except Exception as error:
        if full(folder, error):
            raise
        problem = _problem(error, doing).within(source.path)
        raise (
            SourceError([problem]) if doing.blames_source else ExportFailed(str(problem))
        ) from error


def _problem(error: Exception, doing: Stage) -> Problem:
    if isinstance(error, Unusable):
        return Problem(code=error.problems[0].code, message=str(error))
    if isinstance(error, MemoryError) or any(said in str(error) for said in NO_MEMORY):
        message = (
            f"{doing.what} takes more memory than there is; free some, take a larger machine, or give a smaller "
            "max_tokens in its tier's table"
        )
        return Problem(code=Code.MEMORY_SHORT, message=message)
    message = f"{doing.what} failed ({one_line(error)}); {doing.advice}"
    return Problem(code=Code.REFERENCE_FAILED, message=message)
