"""Zero-shot classification: each candidate label becomes a hypothesis, which an NLI model tests against the text.

Yin et al. 2019 (arXiv:1909.00161), with the parameters and defaults of transformers' zero-shot-classification pipeline.
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


def postprocess(
    value: Input, encodings: Sequence[Encoding], results: Sequence[Any], context: Context
) -> Output:
    """Return the labels by entailment: softmax over all labels, or with `multi_label` of each against contradiction."""
    names = context.parameters["candidate_labels"]
    entailed = context.manifest.details["entailment"]
    contradicted = context.manifest.details["contradiction"]
    if context.parameters.get("multi_label") or len(names) == 1:
        scores = [softmax([row[contradicted], row[entailed]])[1] for row in results]
    else:
        scores = softmax([row[entailed] for row in results])
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


HEAD = TaskHead(
    problems=problems,
    texts=texts,
    postprocess=postprocess,
    output_width=lambda manifest: len(manifest.labels),
    truncation="only_first",
)
