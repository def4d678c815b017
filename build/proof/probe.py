"""The probe that is sealed with an artefact: samples of the project's own texts, with what the artefact answers."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from build.evaluation.rows import Row
from build.proof.golden import rounded
from build.samples.facts import facts_of
from build.samples.rows import sample_rows
from build.step import Step
from contracts.manifest import Manifest
from contracts.prediction import PredictRequest
from contracts.tasks import WRITING_TASKS, Task
from functions.inference.engine import Engine
from functions.inference.model import Model
from functions.inference.probe import PROBE, Sample, answers

# Each start of a GPU's container and each deployment waits for the answers.
SAMPLES = 2
# The tokens that a generator is run along: the first is read from the prompt, the others from the KV cache.
FORCED_TOKENS = 4
# Parameters with which an output lists its alternatives: the best of two near ones may be another on another processor.
PARAMETERS: Mapping[Task, Callable[[Manifest], dict[str, Any]]] = {
    Task.TEXT_CLASSIFICATION: lambda manifest: {"top_k": len(manifest.labels)},
    Task.TOKEN_CLASSIFICATION: lambda manifest: {"aggregation": "none"},
    Task.QUESTION_ANSWERING: lambda manifest: {"top_k": 5},
    Task.FILL_MASK: lambda manifest: {"top_k": 20},
}


def write_probe(folder: Path, step: Step, manifest: Manifest) -> None:
    """Write the probe of an artefact beside its graphs; it is sealed by the next manifest."""
    model = Engine.open(folder, manifest).model
    samples = [_sample(model, request, manifest) for request in requests(step, manifest)]
    lines = ",\n".join(json.dumps(one.to_json(), ensure_ascii=False) for one in samples)
    (folder / PROBE).write_text(f"[{lines}]\n", "utf-8")


def requests(step: Step, manifest: Manifest) -> list[PredictRequest]:
    """Return the requests of a probe: the first English samples, in the form of the model's task."""
    form = step.task.rows
    rows = sample_rows(manifest.task, facts_of(step.source), ("en",))
    parsed: list[Row] = [form.parse(row, manifest.labels or None) for row in islice(rows, SAMPLES)]
    listing = PARAMETERS.get(manifest.task)
    more = listing(manifest) if listing else {}
    return [replace(row.request, parameters={**row.request.parameters, **more}) for row in parsed]


def _sample(model: Model, request: PredictRequest, manifest: Manifest) -> Sample:
    along = _forced_tokens(model, request) if manifest.task in WRITING_TASKS else ()
    outputs = rounded(answers(model, request, along))
    return Sample(request=request, along=along, outputs=outputs)


def _forced_tokens(model: Any, request: PredictRequest) -> tuple[int, ...]:
    """Return the likeliest tokens after a prompt, each after those before it."""
    tokens: Sequence[int] = ()
    for _ in range(FORCED_TOKENS):
        # The last one is a placeholder: what is read is the likeliest token in its place.
        likeliest, _ = model.teacher_forced(str(request.inputs[0]), [*tokens, 0])
        tokens = likeliest
    return tuple(tokens)
