"""The reader of each format. A reader is imported when a source needs it, as some import torch or onnx."""

from collections.abc import Callable
from pathlib import Path

from build.errors import BuildError, one_line
from build.sources.formats import (
    ARPA,
    GGUF,
    HUGGING_FACE,
    LOOKED_FOR,
    ONNX,
    PICKLES,
    SUFFIXES,
    TENSORFLOW,
    TORCHSCRIPT,
    UNKNOWN_FILE,
    UNRECOGNISED,
    WORD_VECTORS,
)
from build.sources.source import Source, Unusable
from build.tasks.description import FamilyName, TaskDescription
from build.tasks.registry import TASKS, Tasks
from contracts.problems import Code, Problem
from contracts.specs import Hints
from contracts.tasks import Task

Reader = Callable[[Path, TaskDescription, int | None, Hints], Source]


def inspect(
    source: Path,
    task: Task,
    max_tokens: int | None,
    hints: Hints | None = None,
    tasks: Tasks = TASKS,
) -> tuple[Source | None, list[Problem]]:
    """Read a source; return it, or every problem found in it."""
    format_ = UNRECOGNISED
    try:
        format_ = _format(source, tasks[task])
        return READERS[format_]()(source, tasks[task], max_tokens, hints or Hints()), []
    except Unusable as error:
        return None, [problem.within(source) for problem in error.problems]
    except BuildError:  # has named its own place
        raise
    except MemoryError:
        message = f"reading it as {_named(format_)} takes more memory than there is; free some"
        return None, [Problem(code=Code.MEMORY_SHORT, where=str(source), message=message)]
    except Exception as error:  # libraries raise anything on a damaged file
        message = (
            f"cannot be read as {_named(format_)} ({one_line(error)}); "
            "check that it is whole and save it again"
        )
        return None, [Problem(code=Code.FILE_DAMAGED, where=str(source), message=message)]


def _named(format_: str) -> str:
    return f"{'an' if format_[0] in 'AO' else 'a'} {format_}"


def _format(source: Path, task: TaskDescription) -> str:
    """Return the format of a source; raise Unusable where it is ambiguous or cannot be built."""
    # Recognised by content: such files have no agreed names.
    if task.family is FamilyName.WORD_VECTORS:
        return WORD_VECTORS
    if source.is_file():
        named = next((f for end, f in SUFFIXES.items() if source.name.endswith(end)), None)
        if named is None:
            raise Unusable(
                Code.FORMAT_UNKNOWN,
                UNKNOWN_FILE.get(
                    source.suffix, "not a model file that can be built; " + LOOKED_FOR
                ),
            )
        return named
    if not source.is_dir():
        raise Unusable(
            Code.FILE_MISSING, "not a folder; put a Hugging Face model there, or correct `source`"
        )
    if (source / "saved_model.pb").is_file():
        return TENSORFLOW
    graphs, weights = list(source.glob("*.onnx")), list(source.glob("*.safetensors"))
    if graphs and weights:
        raise Unusable(
            Code.FORMAT_AMBIGUOUS,
            f"holds {graphs[0].name} and {weights[0].name}; name the .onnx file as `source`, or move one away",
        )
    if graphs:
        return ONNX
    return HUGGING_FACE if weights or any(source.glob(PICKLES)) else UNRECOGNISED


def _hugging_face() -> Reader:
    from build.sources.huggingface.folder import read

    return read


def _onnx_graph() -> Reader:
    from build.sources.onnx_graph import read

    return read


def _torchscript() -> Reader:
    from build.sources.torchscript import read

    return read


def _tensorflow() -> Reader:
    from build.sources.tensorflow.source import read

    return read


def _gguf() -> Reader:
    from build.sources.gguf.source import read

    return read


def _arpa() -> Reader:
    from build.sources.arpa.source import read

    return read


def _word_vectors() -> Reader:
    from build.sources.vectors.source import read

    return read


def _unrecognised() -> Reader:
    from build.sources.unrecognised import read

    return read


READERS: dict[str, Callable[[], Reader]] = {
    HUGGING_FACE: _hugging_face,
    ONNX: _onnx_graph,
    TORCHSCRIPT: _torchscript,
    TENSORFLOW: _tensorflow,
    GGUF: _gguf,
    ARPA: _arpa,
    WORD_VECTORS: _word_vectors,
    UNRECOGNISED: _unrecognised,
}
