"""Feature extraction: one vector for each text."""

from collections.abc import Sequence
from typing import Any

from tokenizers import Encoding

from contracts.api.feature_extraction import API
from contracts.limits import vectors_per_answer
from contracts.manifest import Manifest
from contracts.prediction import Input
from functions.inference.tasks.head import Context, Output, Parameters, TaskHead, Text
from functions.inference.tasks.prompts import OF_EMBEDDERS, parameters_of, prompt_of


def texts(value: Input, parameters: Parameters, manifest: Manifest) -> list[Text]:
    """Return the text behind its prompt, as SentenceTransformer's `encode`."""
    return [prompt_of(parameters, manifest.details, OF_EMBEDDERS) + str(value)]


def postprocess(
    value: Input, encodings: Sequence[Encoding], results: Sequence[Any], context: Context
) -> Output:
    """Return the vector as it is: the graph pools and normalises it."""
    return {"embedding": results[0]}


HEAD = TaskHead(
    api=API,
    parameters=lambda manifest: parameters_of(manifest.details, OF_EMBEDDERS),
    texts=texts,
    postprocess=postprocess,
    max_outputs=lambda manifest, parameters: vectors_per_answer(manifest.dimensions),
    output_width=lambda manifest: manifest.dimensions,
)
