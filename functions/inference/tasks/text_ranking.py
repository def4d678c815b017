"""Text ranking: a cross-encoder's score of each text for the query in `parameters`."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tokenizers import Encoding

from contracts.api.text_ranking import API, QUERY, RAW_SCORES
from contracts.manifest import Manifest
from contracts.prediction import Input
from functions.inference.tasks.conversation import CONVERSATION, ROLES, joined
from functions.inference.tasks.head import (
    ANSWER_BYTES,
    OUTPUT_BYTES,
    Context,
    Output,
    Parameters,
    TaskHead,
    Text,
    sigmoid,
)
from functions.inference.tasks.prompts import NONE, parameters_of, prompt_of

SIGMOID = "Sigmoid"
# The activations that a cross-encoder may name, by their classes in torch.nn; sentence-transformers' default first.
ACTIVATIONS: Mapping[str, Callable[[float], float]] = {
    SIGMOID: sigmoid,
    "Identity": lambda logit: logit,
    "Tanh": math.tanh,
}


def texts(value: Input, parameters: Parameters, manifest: Manifest) -> list[Text]:
    """Return the query behind its prompt, and the text without one, as CrossEncoder's `rank`.

    In a conversation the two are one text, and the prompt is the message before them.
    """
    prompt, query = prompt_of(parameters, manifest.details, NONE), QUERY.value(parameters)
    if conversation := manifest.details.get(CONVERSATION):
        return [joined(conversation, prompt, dict(zip(ROLES, (query, str(value)), strict=True)))]
    return [(prompt + query, str(value))]


def postprocess(
    value: Input, encodings: Sequence[Encoding], results: Sequence[Any], context: Context
) -> Output:
    """Return what the model's own activation makes of the logit, as CrossEncoder's `predict`, or the raw logit."""
    logit = results[0][0]
    if RAW_SCORES.value(context.parameters):
        return {"score": logit}
    activation = ACTIVATIONS[context.manifest.details.get("activation", SIGMOID)]
    return {"score": activation(logit)}


def rank(outputs: list[Output]) -> None:
    """Number the texts from 1, the best; equal scores keep the order of the request."""
    order = sorted(range(len(outputs)), key=lambda i: -outputs[i]["score"])
    for place, i in enumerate(order, start=1):
        outputs[i]["rank"] = place


HEAD = TaskHead(
    api=API,
    parameters=lambda manifest: [QUERY, RAW_SCORES, *parameters_of(manifest.details, NONE)],
    texts=texts,
    postprocess=postprocess,
    finish=rank,
    # A score and a rank take no more than OUTPUT_BYTES allows for an output.
    max_outputs=lambda manifest, parameters: ANSWER_BYTES // OUTPUT_BYTES,
    output_width=lambda manifest: 1,
)
