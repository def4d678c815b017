"""The description of a model in a folder or file of this machine."""

from dataclasses import replace
from pathlib import Path

from build.detection.described import Described, Output, describe_folder
from build.sources import formats
from build.sources.readers import format_of, format_of_file, inspect
from build.sources.source import Unusable
from contracts.problems import Problem
from contracts.specs import SourceOptions
from contracts.tasks import Task

# Suffixes of files that hold word vectors or nothing that can be built, and so are refused as the former.
WORDS_ONLY = (".vec", ".w2v", ".glove", ".txt", ".gz")


def describe_local(source: Path, options: SourceOptions) -> Described:
    """Return what the files of a source say of it; raise Unusable for one that is damaged or no model."""
    if source.is_file() and not source.name.endswith(tuple(formats.SUFFIXES)):
        return _word_vectors(source)
    format_ = format_of(source)
    if format_ == formats.UNRECOGNISED:
        return _unrecognised(source, options)
    labelled = bool(options.labels)
    match format_:
        case formats.ONNX:
            return _onnx(source, labelled)
        case formats.TENSORFLOW:
            from build.sources.tensorflow.source import signature_of

            found = signature_of(source).outputs
            outputs = tuple(Output(name=each.name, shape=each.shape) for each in found)
            return Described(format_=format_, outputs=outputs, labelled=labelled)
        case formats.HUGGING_FACE:
            return describe_folder(source, format_)
        case _:
            return Described(format_=format_, labelled=labelled)


def _word_vectors(path: Path) -> Described:
    """Return the description of a file that no suffix tells, by its first bytes."""
    from build.sources.vectors.source import layout_of

    try:
        layout_of(path)
    except Unusable as error:
        if not path.name.endswith(WORDS_ONLY):
            format_of_file(path.name)  # raises Unusable, and says what such a file is
        raise error
    return Described(format_=formats.WORD_VECTORS)


def _unrecognised(folder: Path, options: SourceOptions) -> Described:
    """Return the description of a folder with one file of word vectors; raise Unusable for any other."""
    words, _ = inspect(folder, Task.WORD_VECTORS, None, options)
    if words:
        return Described(format_=formats.WORD_VECTORS)
    # Which task is asked for makes no difference: the folder has none.
    _, problems = inspect(folder, Task.TEXT_CLASSIFICATION, None, options)
    raise Unusable.listing([_without(folder, problem) for problem in problems])


def _without(place: Path, problem: Problem) -> Problem:
    """Return a problem whose place is left to the caller, who knows the source's name."""
    inner = problem.where.removeprefix(str(place)).removeprefix(": ")
    return Problem(code=problem.code, where=inner, message=problem.message)


def _onnx(source: Path, labelled: bool) -> Described:
    from build.sources.onnx_file import read_graph
    from build.sources.onnx_graph import graph_of, shape_of

    path = graph_of(source) if source.is_dir() else source
    graph = read_graph(path).graph
    outputs = tuple(Output(name=each.name, shape=shape_of(each)) for each in graph.output)
    folder = describe_folder(path.parent, formats.ONNX)
    return replace(folder, outputs=outputs, labelled=labelled)
