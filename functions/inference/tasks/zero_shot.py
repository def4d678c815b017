"""Labels that the model was never trained on: each becomes a hypothesis, and an NLI model says whether it follows.

Yin et al. 2019 (arXiv:1909.00161), with the words and defaults of transformers' zero-shot-classification pipeline.
"""

from collections.abc import Sequence
from typing import Any

from tokenizers import Encoding

from contracts.errors import RequestProblem, pointer
from contracts.manifest import Manifest
from contracts.prediction import Input, PredictRequest
from functions.inference.tasks.classification import scored
from functions.inference.tasks.reading import (
    Context,
    Output,
    Parameters,
    TaskHead,
    Text,
    flag,
    only_texts,
    softmax,
    unknown,
)

TEMPLATE = "This example is {}."
KEYS = ("candidate_labels", "hypothesis_template", "multi_label")
MAX_CANDIDATES = 256


def texts(value: Input, parameters: Parameters) -> list[Text]:
    template = parameters.get("hypothesis_template", TEMPLATE)
    return [(str(value), template.replace("{}", label)) for label in parameters["candidate_labels"]]


def read(
    value: Input, encodings: Sequence[Encoding], numbers: Sequence[Any], context: Context
) -> Output:
    """The labels by how surely they are entailed: against each other, or each against its contradiction."""
    names = context.parameters["candidate_labels"]
    yes, no = context.manifest.details["entailment"], context.manifest.details["contradiction"]
    if context.parameters.get("multi_label") or len(names) == 1:
        scores = [softmax([row[no], row[yes]])[1] for row in numbers]
    else:
        scores = softmax([row[yes] for row in numbers])
    return {**(top := scored(names, scores, range(len(names))))[0], "top": top}


def problems(request: PredictRequest, manifest: Manifest) -> list[RequestProblem]:
    parameters = request.parameters
    found = [*only_texts(request), *unknown(parameters, *KEYS), *flag(parameters, "multi_label")]
    names = parameters.get("candidate_labels")
    if not _are_labels(names):
        detail = f"is needed: a list of 1 to {MAX_CANDIDATES} different labels to choose from"
        found.append(
            RequestProblem(pointer=pointer("parameters", "candidate_labels"), detail=detail)
        )
    template = parameters.get("hypothesis_template", TEMPLATE)
    if not isinstance(template, str) or template.count("{}") != 1:
        detail = "must be a text with one {} in it, the place of the label"
        found.append(
            RequestProblem(pointer=pointer("parameters", "hypothesis_template"), detail=detail)
        )
    return found


def _are_labels(names: object) -> bool:
    return (
        isinstance(names, list)
        and 1 <= len(names) <= MAX_CANDIDATES
        and all(isinstance(name, str) and name.strip() for name in names)
        and len(set(names)) == len(names)
    )


READER = TaskHead(
    problems=problems,
    texts=texts,
    read=read,
    width=lambda manifest: len(manifest.labels),
    truncation="only_first",
)
