"""TensorFlow SavedModel folders and TFLite files as sources.

Signatures are read here; TensorFlow, in an environment of its own, converts the model and runs the reference.
A SavedModel is a program, but nothing in it is unpickled, and operators that reach beyond its tensors are refused.
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
    fixed_limit,
    missing_facts,
    pad_id,
    sizes,
)
from build.sources.formats import SAVED_MODEL, TFLITE
from build.sources.huggingface.tokenizer import read_tokenizer
from build.sources.source import GraphSource, Unusable, digest_of
from build.sources.tensorflow import environment, savedmodel_signature, tflite_signature
from build.sources.tensorflow.gemm import split_products
from build.sources.tensorflow.signature import Signature, Tensor
from build.tasks.description import FamilyName, TaskDescription
from contracts.manifest import MODEL
from contracts.problems import Code, Problem
from contracts.specs import SourceOptions
from functions.inference.token_batches import Feeds

INSTALL = "run `make converters`"
INTEGERS = {"int32", "int64"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Facts:
    """Facts of a signature: inputs by our names, one text at a time or not, tokens taken, size and end of the output.

    A `length` or `width` of 0 stands for any.
    """

    inputs: tuple[str, ...]
    one_text: bool
    length: int
    width: int
    end: str


def read(
    source: Path, task: TaskDescription, max_tokens: int | None, options: SourceOptions
) -> GraphSource:
    """Return the source; raises Unusable with every problem."""
    kind = SAVED_MODEL if source.is_dir() else TFLITE
    check_task(task, kind, FamilyName.ENCODER)
    tools = environment.ENVIRONMENT.versions()
    problems = [] if tools else [_converter_missing(kind, environment.ENVIRONMENT.home())]
    try:
        facts = _facts(signature_of(source), task, options)
        limit = fixed_limit(max_tokens, facts.length)
    except Unusable as error:
        raise Unusable.listing([*problems, *error.problems]) from error
    folder = source if source.is_dir() else source.parent
    tokenizer = options.tokenizer or folder / "tokenizer.json"
    problems += missing_facts(task, tokenizer, options, limit)
    if problems or limit is None:  # which is one of them
        raise Unusable.listing(problems)
    vocabulary = read_tokenizer(tokenizer)
    files = [path for path in sorted(source.rglob("*")) if path.is_file()] or [source]
    return GraphSource(
        kind=kind,
        path=source,
        task=task,
        digest=digest_of(None, *files, tokenizer),
        tokenizer=tokenizer,
        inputs=facts.inputs,
        weight_bytes=sum(path.stat().st_size for path in files),
        max_tokens=limit,
        labels=options.labels or task.default_labels,
        pad_token_id=pad_id(vocabulary),
        details={
            **fixed_length(vocabulary, facts.length),
            **probabilities.details_of(task, facts.end, facts.width),
        },
        removable_activation=facts.end,
        one_text=facts.one_text,
        tools=tools,
    )


def _converter_missing(kind: str, place: Path) -> Problem:
    message = f"a {kind} needs TensorFlow, which {place} lacks; {INSTALL}"
    return Problem(code=Code.CONVERTER_MISSING, message=message)


def _facts(signature: Signature, task: TaskDescription, options: SourceOptions) -> _Facts:
    one_text, length = _check_inputs(signature)
    width = _check_outputs(signature, task, options.labels)
    names = tuple(tensor.name for tensor in signature.inputs)
    if len(names) == 1:  # a single input is the tokens, whatever its name
        names = ("input_ids",)
    check_inputs(names, options.inputs)
    return _Facts(
        inputs=options.inputs or names,
        # Its activation ranges are those of a whole batch, so one text would change the outputs of another.
        one_text=one_text or signature.quantized,
        length=length,
        width=width,
        end=probabilities.removable_activation(
            task, signature.ends[output_places(signature, task)[0]]
        ),
    )


def signature_of(source: Path) -> Signature:
    """Return the signature of a model that ONNX can express; raises Unusable."""
    reader = (
        savedmodel_signature.read_signature if source.is_dir() else tflite_signature.read_signature
    )
    signature = reader(source)
    if signature.foreign:
        raise Unusable(
            Code.OPERATOR_UNSUPPORTED,
            f"uses {', '.join(signature.foreign)}, which ONNX cannot do; save it with operators on tensors alone",
        )
    return signature


def _check_inputs(signature: Signature) -> tuple[bool, int]:
    """Return whether a model takes one text at a time, and its fixed number of tokens, 0 for any; raises Unusable."""
    for tensor in signature.inputs:
        if tensor.kind == "string":
            raise Unusable(
                Code.INPUTS_UNSUPPORTED,
                f"takes texts as they are ({tensor.name}), so its tokenizer is part of the graph; "
                "save the model behind it, which takes tokens, and give their tokenizer.json as `tokenizer`",
            )
        if tensor.kind not in INTEGERS:
            raise Unusable(
                Code.INPUTS_UNSUPPORTED,
                f"its input {tensor.name} is {tensor.kind}, but tokens are int32 or int64",
            )
    return sizes([tensor.shape for tensor in signature.inputs if tensor.shape is not None])


def output_places(signature: Signature, task: TaskDescription) -> tuple[int, ...]:
    """Return the places of the outputs that the task reads; raises Unusable if that is ambiguous."""
    names = [tensor.name for tensor in signature.outputs]
    wanted = task.graph.names
    parts = [name.removesuffix("_logits") for name in wanted]
    places = tuple(i for part in parts for i, name in enumerate(names) if part in name)
    if len(places) == len(wanted):
        return places
    if len(names) == len(wanted):  # whatever they are called
        return tuple(range(len(wanted)))
    named = "the one that is meant" if len(wanted) == 1 else " and ".join(wanted)
    raise Unusable(Code.OUTPUTS_UNSUPPORTED, f"answers {', '.join(names)}; save it with {named}")


def _check_outputs(signature: Signature, task: TaskDescription, labels: tuple[str, ...]) -> int:
    """Return the size of the output's last axis, 0 for any; raises Unusable."""
    output: Tensor = signature.outputs[output_places(signature, task)[0]]
    if output.kind != "float32":
        raise Unusable(
            Code.OUTPUTS_UNSUPPORTED,
            f"answers {output.kind}, not float32; save it again with outputs in float32",
        )
    if output.shape is None:
        return 0
    check_axes(task, output.shape, task.graph.rank)
    check_labels(task, width := output.shape[-1], labels, paired=True)
    return width


def export(source: GraphSource, destination: Path) -> Path:
    """Write the model as ONNX, its inputs named and typed as they are fed, and return its path; raises ExportFailed."""
    destination.mkdir(parents=True)
    path = destination / MODEL
    signature = signature_of(source.path)
    environment.convert(source.path, signature, output_places(signature, source.task), path)
    model: Any = onnx.load(path)
    onnx_graph.finish(model, source)
    split_products(model.graph)
    onnx.save(model, path)
    return path


def predict(source: GraphSource, feeds: list[Feeds]) -> list[list[Any]]:
    """Return the outputs of TensorFlow for each of the feeds: one array, or one of starts and one of ends."""
    signature = signature_of(source.path)
    places = output_places(signature, source.task)
    return environment.predict(source.path, signature, places, feeds, source.inputs)
