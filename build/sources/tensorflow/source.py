"""TensorFlow SavedModel folders and TFLite files as sources.

What they take and answer is read here; TensorFlow, in an environment of its own, converts them and is the original.
A SavedModel is a program, but nothing in it is unpickled, and what reaches beyond its tensors is refused.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx

from build.sources import onnx_graph, probabilities
from build.sources.bare_graph import (
    check_axes,
    check_inputs,
    check_labels,
    check_task,
    fixed_length,
    limit_of,
    missing_hints,
    pad_id,
    sizes,
)
from build.sources.formats import SAVED_MODEL, TFLITE
from build.sources.source import Source, Unusable, digest_of
from build.sources.tensorflow import environment, savedmodel, tflite
from build.sources.tensorflow.gemm import split_products
from build.sources.tensorflow.signature import Signature, Tensor
from contracts.problems import Code, Problem
from contracts.specs import Hints
from contracts.tasks import Task
from functions.inference.tokens import Feeds

INSTALL = "run `make converters`"
WHOLE = {"int32", "int64"}
RANKS = {Task.TOKEN_CLASSIFICATION: 3}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Facts:
    """What the file says: its inputs by our names, how many texts and tokens they take, and what is answered."""

    inputs: tuple[str, ...]
    one_text: bool
    length: int
    width: int
    end: str


def read(source: Path, task: Task, max_tokens: int | None, hints: Hints) -> Source:
    """The source; raises Unusable with everything that is missing."""
    kind = SAVED_MODEL if source.is_dir() else TFLITE
    check_task(task, kind)
    place = environment.home()
    tools = environment.versions(place)
    problems = [] if tools else [_converter_missing(kind, place)]
    try:
        facts = _facts(signature_of(source), task, hints)
        limit = limit_of(max_tokens, facts.length)
    except Unusable as error:
        raise Unusable.listing([*problems, *error.problems]) from error
    folder = source if source.is_dir() else source.parent
    tokenizer = hints.tokenizer or folder / "tokenizer.json"
    problems += missing_hints(task, tokenizer, hints, limit)
    if problems:
        raise Unusable.listing(problems)
    assert limit
    files = [path for path in sorted(source.rglob("*")) if path.is_file()] or [source]
    return Source(
        kind=kind,
        folder=folder,
        task=task,
        digest=digest_of(folder / "nothing", *files, tokenizer),
        tokenizer=tokenizer,
        file=source,
        inputs=facts.inputs,
        weight_bytes=sum(path.stat().st_size for path in files),
        max_tokens=limit,
        labels=hints.labels or (("score",) if task is Task.TEXT_RANKING else ()),
        pad_token_id=pad_id(tokenizer),
        details={
            **fixed_length(tokenizer, facts.length),
            **probabilities.details_of(task, facts.end, facts.width),
        },
        end=facts.end,
        one_text=facts.one_text,
        tools=tools,
    )


def _converter_missing(kind: str, place: Path) -> Problem:
    message = f"a {kind} needs TensorFlow, which {place} lacks; {INSTALL}"
    return Problem(code=Code.CONVERTER_MISSING, message=message)


def _facts(signature: Signature, task: Task, hints: Hints) -> _Facts:
    one_text, length = _check_inputs(signature)
    width = _check_outputs(signature, task, hints.labels)
    names = tuple(tensor.name for tensor in signature.inputs)
    if len(names) == 1:  # the only one can be nothing else than the tokens, however it is called
        names = ("input_ids",)
    check_inputs(names, hints.inputs)
    return _Facts(
        inputs=hints.inputs or names,
        # Ranges of quantized weights' products are those of all texts that run at once.
        one_text=one_text or signature.quantized,
        length=length,
        width=width,
        end=probabilities.removable_activation(task, signature.ends[picked(signature, task)[0]]),
    )


def signature_of(source: Path) -> Signature:
    """What it takes and answers; raises Unusable."""
    reader = savedmodel.read_signature if source.is_dir() else tflite.read_signature
    found = reader(source)
    if found.foreign:
        raise Unusable(
            Code.OPERATOR_UNSUPPORTED,
            f"uses {', '.join(found.foreign)}, which ONNX cannot do; save it with operators on tensors alone",
        )
    return found


def _check_inputs(signature: Signature) -> tuple[bool, int]:
    """Whether it takes one text at a time, and how many tokens exactly."""
    for tensor in signature.inputs:
        if tensor.kind == "string":
            raise Unusable(
                Code.INPUTS_UNSUPPORTED,
                f"takes texts as they are ({tensor.name}), so its tokenizer is part of the graph; "
                "save the model behind it, which takes tokens, and give their tokenizer.json as `tokenizer`",
            )
        if tensor.kind not in WHOLE:
            raise Unusable(
                Code.INPUTS_UNSUPPORTED,
                f"its input {tensor.name} is {tensor.kind}, but tokens are int32 or int64",
            )
    return sizes([tensor.shape for tensor in signature.inputs if tensor.shape is not None])


def picked(signature: Signature, task: Task) -> tuple[int, ...]:
    """The places of the outputs that the task is read from; raises Unusable where several could be meant."""
    names = [tensor.name for tensor in signature.outputs]
    spans = task is Task.QUESTION_ANSWERING
    found = tuple(
        i
        for part in (("start", "end") if spans else ("logits",))
        for i, name in enumerate(names)
        if part in name
    )
    wanted = 2 if spans else 1
    if len(found) == wanted:
        return found
    if len(names) == wanted:
        return tuple(range(wanted))
    meant = "start_logits and end_logits" if spans else "the one that is meant"
    raise Unusable(Code.OUTPUTS_UNSUPPORTED, f"answers {', '.join(names)}; save it with {meant}")


def _check_outputs(signature: Signature, task: Task, labels: tuple[str, ...]) -> int:
    """How many numbers the last axis has; 0 is any number."""
    output: Tensor = signature.outputs[picked(signature, task)[0]]
    if output.kind != "float32":
        raise Unusable(
            Code.OUTPUTS_UNSUPPORTED,
            f"answers {output.kind}, not float32; save it again with outputs in float32",
        )
    if output.shape is None:
        return 0
    check_axes(task, output.shape, RANKS.get(task, 2))
    check_labels(task, width := output.shape[-1], labels, paired=True)
    return width


def export(source: Source, destination: Path) -> Path:
    """The model as ONNX, its inputs named and typed as they will be fed; raises ExportFailed."""
    assert source.file
    destination.mkdir(parents=True)
    path = destination / "model.onnx"
    signature = signature_of(source.file)
    environment.convert(source.file, signature, picked(signature, source.task), path)
    model: Any = onnx.load(path)
    onnx_graph.finish(model, source)
    split_products(model.graph)
    onnx.save(model, path)
    return path


def answers(source: Source, asked: list[Feeds]) -> list[list[Any]]:
    """What TensorFlow answers to each of the feeds: one array, or those of starts and of ends."""
    assert source.file
    signature = signature_of(source.file)
    places = picked(signature, source.task)
    return [
        list(found)
        for found in environment.answer(source.file, signature, places, asked, source.inputs)
    ]
