"""The reader of each format. A reader is imported when a source needs it, as some import torch or onnx."""

from collections.abc import Callable, Collection
from dataclasses import replace
from fnmatch import fnmatch
from pathlib import Path, PurePath

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
        given = options or SourceOptions()
        _check_labels(TASKS[task], given)
        read = _reader(format_)(source, TASKS[task], max_tokens, given)
        return replace(read, asked_tokens=max_tokens, asked_labels=given.labels), []
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


def _check_labels(task: TaskDescription, options: SourceOptions) -> None:
    """Raise Unusable for labels that no reader would take: the task has none."""
    if options.labels and not task.min_labels:
        message = (
            f"`labels` names {', '.join(options.labels)}, but {task.name} has no labels; remove it"
        )
        raise Unusable(Code.LABELS_MISMATCH, message)


def _named(format_: str) -> str:
    return f"{'an' if format_[0] in 'AO' else 'a'} {format_}"


def _format(source: Path, task: TaskDescription) -> str:
    # Recognised by content: such files have no agreed names.
    return formats.WORD_VECTORS if task.family is FamilyName.WORD_VECTORS else format_of(source)


def format_of(source: Path) -> str:
    """Return the format of a source by its name, or by those in it; raise Unusable for none, or for several."""
    if source.is_file():
        return format_of_file(source.name)
    if not source.is_dir():
        raise Unusable(
            Code.FILE_MISSING, "not a folder; put a Hugging Face model there, or correct `source`"
        )
    return format_of_folder([path.name for path in source.iterdir() if path.is_file()])


def format_of_file(name: str) -> str:
    """Return the format of a file; raise Unusable for one that cannot be built."""
    named = next((format_ for end, format_ in SUFFIXES.items() if name.endswith(end)), None)
    if named is None:
        unknown = "not a model file that can be built; " + LOOKED_FOR
        raise Unusable(Code.FORMAT_UNKNOWN, UNKNOWN_FILE.get(PurePath(name).suffix, unknown))
    return named


def format_of_folder(names: Collection[str]) -> str:
    """Return the format of a folder of these files; raise Unusable where it holds more than one model."""
    if "saved_model.pb" in names:
        return formats.TENSORFLOW
    graphs = [name for name in names if name.endswith(".onnx")]
    weights = [name for name in names if name.endswith(".safetensors")]
    if graphs and weights:
        raise Unusable(
            Code.FORMAT_AMBIGUOUS,
            f"holds {graphs[0]} and {weights[0]}; name the .onnx file as `source`, or move one away",
        )
    if graphs:
        return formats.ONNX
    pickled = any(fnmatch(name, PICKLES) for name in names)
    # Older releases of sentence-transformers kept the weights in a folder beside this file.
    named = weights or pickled or "modules.json" in names
    return formats.HUGGING_FACE if named else formats.UNRECOGNISED


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
