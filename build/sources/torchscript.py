"""A TorchScript file as a source; its tokenizer, labels and length come from models.toml."""

import re
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from build.errors import ExportFailed, one_line
from build.graph.opset import OPSET
from build.sources.bare_graph import check_inputs, check_task, missing_facts
from build.sources.formats import TORCHSCRIPT
from build.sources.source import GraphSource, Unusable, digest_of
from build.tasks.description import FamilyName, TaskDescription
from build.workspace.quiet import quiet
from contracts.manifest import MODEL
from contracts.problems import Code
from contracts.specs import SourceOptions

SUFFIXES = {".pt", ".ts"}


def read(
    path: Path, task: TaskDescription, max_tokens: int | None, options: SourceOptions
) -> GraphSource:
    """Return the source; raise Unusable with every problem."""
    check_task(task, "TorchScript", FamilyName.ENCODER, FamilyName.SCORER)
    problems = missing_facts(task, options.tokenizer, options, max_tokens)
    inputs: tuple[str, ...] = ()
    try:
        inputs = options.inputs or _inputs(load(path))
        check_inputs(inputs, ())
    except Unusable as error:
        problems.extend(error.problems)
    if problems or options.tokenizer is None or max_tokens is None:  # each of which is a problem
        raise Unusable.listing(problems)
    return GraphSource(
        kind=TORCHSCRIPT,
        path=path,
        task=task,
        digest=digest_of(None, path, options.tokenizer),
        tokenizer=options.tokenizer,
        inputs=inputs,
        weight_bytes=path.stat().st_size,
        max_tokens=max_tokens,
        labels=options.labels or task.default_labels,
    )


def load(path: Path) -> Any:
    """Return the module; raise Unusable. TorchScript is a language of its own: loading it runs no Python."""
    import torch

    if _is_pickle(path):
        raise Unusable(
            Code.PICKLE_REFUSED,
            "a pickle, as torch.save writes it: it runs code when it is loaded, and a state_dict lacks the model's "
            "own; load it where the model is defined and save torch.jit.trace(model, example)",
        )

    try:
        with quiet():
            return torch.jit.load(path, map_location="cpu").eval()
    except (RuntimeError, ValueError, EOFError) as error:
        first = str(error).strip().splitlines()[0]
        raise Unusable(
            Code.FILE_DAMAGED, f"not a TorchScript file, or cut short ({first}); save it again"
        ) from error


def is_script(path: Path) -> bool:
    """Return whether the file is an archive with a TorchScript program."""
    return "constants.pkl" in _names(path)


def _is_pickle(path: Path) -> bool:
    """Return whether torch.save wrote the file: as an archive without a program or, before 1.6, as a bare pickle."""
    if not zipfile.is_zipfile(path):
        with path.open("rb") as file:
            return (
                file.read(1) == b"\x80"
            )  # the opcode PROTO, which pickles have begun with since protocol 2
    return "data.pkl" in _names(path) and not is_script(path)


def _names(path: Path) -> set[str]:
    """Return the names of an archive's files; none where the file is no archive."""
    if not zipfile.is_zipfile(path):
        return set()
    with zipfile.ZipFile(path) as archive:
        return {Path(name).name for name in archive.namelist()}


def _inputs(module: Any) -> tuple[str, ...]:
    """Return the names of the arguments, as they were when the module was traced."""
    # The first input is the module itself, and a name that occurs again gets a number: `input_ids.1`.
    names = [value.debugName() for value in list(module.graph.inputs())[1:]]
    return tuple(re.sub(r"\.\d+$", "", name) for name in names)


def first_tensors(output: Any, count: int) -> list[Any]:
    """Return the first tensors of a module's output, which may be one, a tuple or a dict of them."""
    if isinstance(output, dict):
        output = tuple(output.values())
    return list(output[:count]) if isinstance(output, list | tuple) else [output]


def export(source: GraphSource, destination: Path) -> Path:
    """Write the module as ONNX by torch's TorchScript exporter, and return its path; raise ExportFailed."""
    import torch

    module = load(source.path)
    destination.mkdir(parents=True)
    scores = source.task.family is FamilyName.SCORER
    # Texts are scored one by one, and the state that a recurrent network begins with has the size of the batch.
    example = tuple(torch.ones((1 if scores else 2, 8), dtype=torch.int64) for _ in source.inputs)
    names = source.task.graph.names
    outputs = list(names) if len(names) > 1 else ["output"]
    try:
        with quiet():
            torch.onnx.export(
                module,
                example,
                str(destination / MODEL),
                input_names=list(source.inputs),
                output_names=outputs,
                dynamic_axes=_axes(source.inputs, outputs, scores),
                opset_version=OPSET,
                dynamo=False,
            )
    except Exception as error:
        raise ExportFailed(
            f"{source.path} cannot be exported ({one_line(error)}); "
            "save the model as a Hugging Face folder or export it to ONNX where it was trained"
        ) from error
    return destination / MODEL


def _axes(inputs: Sequence[str], outputs: Sequence[str], scores: bool) -> dict[str, dict[int, str]]:
    """Return the open axes of inputs and outputs: the batch, unless it is one text, and the tokens."""
    batch = {} if scores else {0: "batch"}
    tokens = {1: "tokens"}
    return {
        **{name: batch | tokens for name in inputs},
        **{name: batch | (tokens if scores else {}) for name in outputs},
    }
