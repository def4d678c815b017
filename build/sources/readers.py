"""The reader of each format. A reader is imported when a source needs it, as some import torch or onnx."""

from collections.abc import Callable
from pathlib import Path

from build.errors import BuildError, one_line
from build.sources import formats
from build.sources.formats import LOOKED_FOR, PICKLES, SUFFIXES, UNKNOWN_FILE
from build.sources.source import Source, Unusable
from build.tasks.description import FamilyName, TaskDescription
from build.tasks.registry import TASKS
from contracts.problems import Code, Problem
from contracts.specs import SourceOptions
from contracts.tasks import Task

Reader = Callable[[Path, TaskDescription, int | None, SourceOptions], Source]


def inspect(
    source: Path, task: Task, max_tokens: int | None, options: SourceOptions | None = None
) -> tuple[Source | None, list[Problem]]:
    """Read a source; return it, or every problem found in it."""
    format_ = formats.UNRECOGNISED
    try:
        format_ = _format(source, TASKS[task])
        return _reader(format_)(source, TASKS[task], max_tokens, options or SourceOptions()), []
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
        return formats.WORD_VECTORS
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
        return formats.TENSORFLOW
    graphs, weights = list(source.glob("*.onnx")), list(source.glob("*.safetensors"))
    if graphs and weights:
        raise Unusable(
            Code.FORMAT_AMBIGUOUS,
            f"holds {graphs[0].name} and {weights[0].name}; name the .onnx file as `source`, or move one away",
        )
    if graphs:
        return formats.ONNX
    return formats.HUGGING_FACE if weights or any(source.glob(PICKLES)) else formats.UNRECOGNISED


def _reader(format_: str) -> Reader:
    """Return the reader of a format, importing no other."""
    read: Reader
    match format_:
        case formats.HUGGING_FACE:
            from build.sources.huggingface.folder import read
        case formats.ONNX:
            from build.sources.onnx_graph import read
        case formats.TORCHSCRIPT:
            from build.sources.torchscript import read
        case formats.TENSORFLOW:
            from build.sources.tensorflow.source import read
        case formats.GGUF:
            from build.sources.gguf.source import read
        case formats.ARPA:
            from build.sources.arpa.source import read
        case formats.WORD_VECTORS:
            from build.sources.vectors.source import read
        case _:
            from build.sources.unrecognised import read
    return read
