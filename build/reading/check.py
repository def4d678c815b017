"""The check of a reading: our engine, in full precision, answers every row as the model's own library does."""

import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from textwrap import shorten
from typing import Any

from build.errors import ReadingDiffers, one_line
from build.evaluation.metrics import Outputs
from build.evaluation.rows import Row
from build.evaluation.teacher_forcing import FORCED_TOKENS, IDS, answer
from build.reading.causes import Case, Fed, likely_cause
from build.reading.comparison import MARGIN, TOLERANCE, VECTOR, differences
from build.reading.library import library
from build.reading.outputs import Margins, Reference, reference_of
from build.reading.tokens import check_tokens
from build.sources.source import GgufSource, GraphSource, Source, TransformersSource
from build.workspace.progress import Notify, counted, silent
from contracts.http_errors import ServingError
from contracts.manifest import BrokenArtefact
from contracts.prediction import Input, PredictRequest
from contracts.tasks import Task
from functions.inference.encoder import Encoder, encodings_of, windows_of
from functions.inference.engine import Engine
from functions.inference.generation import TextModel
from functions.inference.token_batches import feed

# Characters of a row or an answer that a message shows.
MAX_SHOWN = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """The result of the check; `libraries` is empty where there is no other reader, and `why` says why.

    `near_ties` are the rows whose answer differs where the library hardly prefers its own, and `apart` is the largest
    difference of a number, over what is allowed.
    """

    rows: int = 0
    near_ties: int = 0
    apart: float = 0.0
    libraries: dict[str, str] = field(default_factory=dict)
    why: str = ""
    limits: dict[str, float] = field(
        default_factory=lambda: {"margin": MARGIN, "score": TOLERANCE, "vector": VECTOR}
    )


def unchecked_reason(source: Source) -> str:
    """Return why no other reader than ours has read a source; empty where its own library has."""
    match source:
        case TransformersSource():
            return ""
        case GraphSource():
            return f"no second reader of a {source.kind} is at hand; your own file was run in its own runtime"
        case GgufSource():
            return (
                "transformers dequantizes its weights, and the tokenizer is made of its header; what follows was "
                "checked with transformers"
            )
    return (
        "the reference is computed from the parsed file, apart from what is served; no second parser of the format is "
        "at hand"
    )


def check(
    name: str,
    folder: Path,
    source: TransformersSource,
    rows: Sequence[Row],
    reference: Reference,
    notify: Notify = silent,
    texts: Sequence[str] = (),
) -> Reading:
    """Return the result for a sealed folder in full precision; raise ReadingDiffers with the first row that differs.

    A tokenizer that the build has made is checked on the `texts` and those of the rows first.
    """
    engine = _opened(name, folder, rows)
    given = [text for row in rows for text in row.request.inputs if isinstance(text, str)]
    check_tokens(name, engine, source, [*given, *texts])
    task = engine.manifest.task
    # ONNX Runtime releases the interpreter's lock while it runs a graph, so threads are enough.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = pool.map(
            lambda row, expected, margins: outputs(engine, row.request, expected, margins),
            rows,
            reference.outputs,
            reference.margins,
        )
        ours = [next(found) for _ in counted(rows, notify)]
    result = Reading(rows=len(rows), libraries=dict(reference.libraries))
    for i, (one, other, margins) in enumerate(
        zip(ours, reference.outputs, reference.margins, strict=True)
    ):
        difference = differences(task, one, other, margins)
        if not difference.allowed:
            case = _traced(engine, source, rows[i], one)
            raise _differs(name, i, rows, case, reference)
        result = replace(
            result,
            near_ties=result.near_ties + (difference.margin is not None),
            apart=max(result.apart, difference.apart),
        )
    return result


def _opened(name: str, folder: Path, rows: Sequence[Row]) -> Engine:
    """Return the engine; raise ReadingDiffers where its graph has no such output as the library has answered with."""
    try:
        return Engine.load(folder, max_inputs=max(len(row.request.inputs) for row in rows))
    except BrokenArtefact as error:
        cause = str(error).partition(";")[0]
        raise ReadingDiffers(
            f"{name}: its library's answers have another form than the graph that was made ({cause}), so the source is "
            "misread and nothing ships; correct its pooling (1_Pooling/config.json, modules.json) or its labels if "
            "they are not meant, or report it as a fault of Turnout, with the folder's JSON files"
        ) from error


def outputs(
    engine: Engine, request: PredictRequest, expected: Outputs, margins: Sequence[Margins]
) -> list[dict[str, Any]]:
    """Return the engine's outputs with all that is compared: the scores of all labels, or the predicted tokens.

    An error of ours is an answer that differs.
    """
    try:
        if isinstance(engine.model, TextModel):
            return [_generated(engine, engine.model, request, expected[0], margins[0])]
        if engine.manifest.task is Task.TEXT_CLASSIFICATION:
            every = {**request.parameters, "top_k": len(engine.manifest.labels)}
            request = replace(request, parameters=every)
        return list(engine.predict(request).outputs)
    except Exception as error:  # of the engine, or of ONNX Runtime, which documents no type
        return [{"error": one_line(error)}] * (len(request.inputs) + 1)


def _generated(
    engine: Engine,
    model: TextModel,
    request: PredictRequest,
    expected: dict[str, Any],
    margins: Margins,
) -> dict[str, Any]:
    (forced,) = answer(engine, request, expected[FORCED_TOKENS])
    (output,) = engine.predict(request).outputs
    differs = None
    if not _same_text(output["generated_text"], expected["generated_text"]):
        differs = _first_difference(engine, model, request, margins)
    own = model.own_settings(request.inputs[0], request.parameters["max_new_tokens"])
    return {
        **output,
        **forced,
        "differs_at": differs,
        "forced_differs": forced[IDS] != expected[IDS],
        "new_tokens": own.new_tokens,
        "max_new_tokens": model.config.defaults.max_new_tokens,
        "sampled": own.sampled,
    }


def _first_difference(
    engine: Engine, model: TextModel, request: PredictRequest, margins: Margins
) -> int:
    """Return the place of the first token that we generate differently, found by generating fewer.

    Of a search with beams, it is the first step that keeps other texts, or behind all steps the choice of the best.
    """
    if "rounds" in margins:
        return _first_round(model, request, margins["rounds"])
    tokens = margins["generated"]
    for count in range(1, len(tokens) + 1):
        fewer = replace(request, parameters={**request.parameters, "max_new_tokens": count})
        text = engine.predict(fewer).outputs[0]["generated_text"]
        right = model.tokenizer.decode(list(tokens[:count]), skip_special_tokens=True)
        if not _same_text(text, right):
            return count - 1
    return len(tokens)


def _first_round(
    model: TextModel, request: PredictRequest, kept: Sequence[Sequence[Sequence[int]]]
) -> int:
    """Return the place of the first step of a search that keeps other texts than those."""
    found = list(model.rounds(request.inputs[0], request.parameters["max_new_tokens"]))
    for place, (ours, theirs) in enumerate(zip(found, kept, strict=False)):
        running = {beam.tokens for beam in ours.running if not beam.ended}
        if running != set(map(tuple, theirs)):
            return place
    # A search that ends at another step has another rule for its end, which is no near tie.
    return len(kept) if len(found) == len(kept) else len(kept) + 1


def _same_text(ours: str, theirs: str) -> bool:
    """Return whether two texts are equal but for the space in front, and a character that the last token leaves open.

    The library decodes the new tokens alone, which drops the space after the prompt, and writes U+FFFD for half a
    character. Ours continues the prompt, and leaves half a character out.
    """
    one, other = (text.lstrip(" ").rstrip("\N{REPLACEMENT CHARACTER}") for text in (ours, theirs))
    return one == other


def _traced(engine: Engine, source: TransformersSource, row: Row, ours: Outputs) -> Case:
    """Return the row with what the model was fed on either side; the library is asked again for it."""
    answers, _ = library().answers(source, [row], trace=True)
    reference = reference_of(source.task.name, [row], answers, {})
    # The distribution over all labels belongs to an answer that is compared, though no request asked for it.
    theirs = [
        {**output, **({"top": m["scores"]} if "scores" in m else {})}
        for output, m in zip(reference.outputs[0], reference.margins[0], strict=True)
    ]
    return Case(
        task=source.task.name,
        ours=ours,
        theirs=theirs,
        fed_ours=fed(engine, row.request),
        fed_theirs=[inputs for each in answers[0] for inputs in each["fed"]],
    )


def fed(engine: Engine, request: PredictRequest) -> list[Fed]:
    """Return what our engine feeds the model for each text or window of a request."""
    model: Any = engine.model
    if isinstance(model, Encoder):
        found = encodings_of(model.tokenizer, model.head, engine.manifest, request)
        windows = [w for own in found for e in own for w in windows_of(e, model.head)]
        every = [feed([window], model.input_names, engine.manifest) for window in windows]
        return [{name: array.tolist() for name, array in each.items()} for each in every]
    return [{"input_ids": [_ids(model, value)]} for value in request.inputs]


def _ids(model: Any, value: Input) -> Sequence[int]:
    """Return the tokens of a text, or of a chat in its template; none where it does not render."""
    if isinstance(value, str):
        return list(model.tokenizer.encode(value).ids)
    try:
        return list(model.prompt(value, 1).ids)
    except ServingError:
        return []


def _differs(
    name: str, place: int, rows: Sequence[Row], case: Case, reference: Reference
) -> ReadingDiffers:
    versions = " and ".join(f"{n} {v}" for n, v in reference.libraries.items() if n != "torch")
    lines = [
        f"{name}: in full precision row {place + 1} of {len(rows)} is answered unlike by {versions}, so the source is "
        "misread and nothing ships:",
        f"  row: {_shown(rows[place].request.to_wire())}",
        f"  its library: {_shown(list(case.theirs))}",
        f"  here: {_shown(list(case.ours))}",
        f"  likely: {likely_cause(case)}",
        "correct that setting if it is not meant, or report it as a fault of Turnout, with the folder's JSON files",
    ]
    return ReadingDiffers("\n".join(lines))


def _shown(value: Any) -> str:
    return shorten(
        json.dumps(value, ensure_ascii=False, default=str), MAX_SHOWN, placeholder=" ..."
    )
