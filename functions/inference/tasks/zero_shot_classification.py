"""Zero-shot classification: each candidate label becomes a hypothesis, which an NLI model tests against the text.

Yin et al. 2019 (arXiv:1909.00161), with the parameters and defaults of transformers' zero-shot-classification pipeline.
"""

from collections.abc import Sequence
from typing import Any

from tokenizers import Encoding

from contracts.api.zero_shot_classification import (
    API,
    CANDIDATE_LABELS,
    HYPOTHESIS_TEMPLATE,
    MULTI_LABEL,
)
from contracts.manifest import Manifest
from contracts.prediction import Input
from functions.inference.tasks.head import Context, Output, Parameters, TaskHead, Text, softmax
from functions.inference.tasks.text_classification import scored


def texts(value: Input, parameters: Parameters, manifest: Manifest) -> list[Text]:
    template, labels = HYPOTHESIS_TEMPLATE.value(parameters), CANDIDATE_LABELS.value(parameters)
    # Not `format`, which would read any other brace of the caller's template as a field.
    return [(str(value), template.replace("{}", label)) for label in labels]


def postprocess(
    value: Input, encodings: Sequence[Encoding], results: Sequence[Any], context: Context
) -> Output:
    """Return the labels by entailment: softmax over all labels, or with `multi_label` of each against contradiction."""
    names = CANDIDATE_LABELS.value(context.parameters)
    entailed = context.manifest.details["entailment"]
    contradicted = context.manifest.details["contradiction"]
    # A single label has no others to compete with: its softmax would always be 1.
    if MULTI_LABEL.value(context.parameters) or len(names) == 1:
        scores = [softmax([row[contradicted], row[entailed]])[1] for row in results]
    else:
        scores = softmax([row[entailed] for row in results])
    return {**(top := scored(names, scores, range(len(names))))[0], "top": top}


HEAD = TaskHead(
    api=API,
    texts=texts,
    postprocess=postprocess,
    output_width=lambda manifest: len(manifest.labels),
    # As in transformers' pipeline: the text is cut, and the hypothesis stays whole.
    truncation="only_first",
)
