"""Errors of libraries about a source, raised again as build errors that name the source, the action and the next step.

Libraries raise errors of many types, and none of them knows the source. Build errors pass through as they are.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from build.errors import BuildError, ExportFailed, SourceError, one_line
from build.recipes.recipe import PassedOver
from build.sources.source import Source, Unusable
from build.workspace.publish import disk_is_full
from contracts.problems import Code, Problem

# Messages of libraries that ran out of memory and do not raise MemoryError.
OUT_OF_MEMORY = (
    "bad_alloc",
    "bad allocation",
    "can't allocate memory",
    "Failed to allocate memory",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """An action of a build as messages name it, advice for its failure, and whether that is the source's fault."""

    action: str
    advice: str
    blames_source: bool


EXPORTING = Stage(
    action="making ONNX graphs of it",
    advice="check that its own library loads it, and that its operators and tensors are whole; save it again",
    blames_source=False,
)
MAKING_CANDIDATE = Stage(
    action="making a candidate of it",
    advice='`quantize = "none"` in its tier\'s table has none made with smaller weights',
    blames_source=False,
)
RUNNING_REFERENCE = Stage(
    action="running the reference",
    advice="check that its own library answers these rows, and that its tokenizer belongs to it; save it again",
    blames_source=True,
)


@contextlib.contextmanager
def naming_source(source: Source, folder: Path, stage: Stage) -> Iterator[None]:
    """Raise ExportFailed, or SourceError if it is the source's fault, for any other error within the block.

    PassedOver passes through, and so does an error of a full disk: `work_folder` knows the disk of `folder`, where the
    build writes.
    """
    try:
        yield
    except (BuildError, PassedOver):
        raise
    except Exception as error:
        # Blaming the source would send the user to the wrong place.
        if disk_is_full(folder, error):
            raise
        problem = _problem(error, stage).within(source.path)
        raise (
            SourceError([problem]) if stage.blames_source else ExportFailed(str(problem))
        ) from error


def _problem(error: Exception, stage: Stage) -> Problem:
    if isinstance(error, Unusable):
        return Problem(code=error.problems[0].code, message=str(error))
    if isinstance(error, MemoryError) or any(text in str(error) for text in OUT_OF_MEMORY):
        message = (
            f"{stage.action} takes more memory than there is; free some, take a larger machine, or give a smaller "
            "max_tokens in its tier's table"
        )
        return Problem(code=Code.MEMORY_SHORT, message=message)
    message = f"{stage.action} failed ({one_line(error)}); {stage.advice}"
    return Problem(code=Code.REFERENCE_FAILED, message=message)
