"""Feature extraction: one vector for each text."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from tokenizers import Encoding

from contracts.api.feature_extraction import API, dimensions_of
from contracts.api.task_api import Parameter
from contracts.limits import asked_dimensions, vectors_per_answer
from contracts.manifest import Manifest
from contracts.prediction import Input
from functions.inference.tasks.head import Context, Output, Parameters, TaskHead, Text
from functions.inference.tasks.prompts import OF_EMBEDDERS, parameters_of, prompt_of


def texts(value: Input, parameters: Parameters, manifest: Manifest) -> list[Text]:
    """Return the text behind its prompt, as SentenceTransformer's `encode`."""
    return [prompt_of(parameters, manifest.details, OF_EMBEDDERS) + str(value)]


def parameters(manifest: Manifest) -> list[Parameter]:
    """Return the parameters with the prompts and the dimensions that a model has."""
    known = dimensions_of(manifest.dimensions, manifest.shorter_dimensions)
    return [*parameters_of(manifest.details, OF_EMBEDDERS), known]


def dimensions(manifest: Manifest, parameters: Parameters) -> int:
    """Return the dimensions of the vectors that a request asks for."""
    return asked_dimensions(parameters, manifest.dimensions, manifest.shorter_dimensions)


def shortened(vector: Sequence[float], dimensions: int, *, normalize: bool) -> list[float]:
    """Return the first dimensions of a vector; with `normalize`, of length 1 again.

    As SentenceTransformer's `encode` with `truncate_dim` and `normalize_embeddings` (arXiv:2205.13147).
    """
    part = np.asarray(vector[:dimensions], np.float32)
    # A vector of zeros has no direction, and stays as it is.
    divided = part / max(np.linalg.norm(part), np.float32(1e-12)) if normalize else part
    numbers: list[float] = divided.tolist()
    return numbers


def postprocess(
    value: Input, encodings: Sequence[Encoding], results: Sequence[Any], context: Context
) -> Output:
    """Return the vector as it is, which the graph pools and normalises, or what the request asks for of it."""
    manifest, vector = context.manifest, results[0]
    asked = dimensions(manifest, context.parameters)
    if asked < manifest.dimensions:
        vector = shortened(vector, asked, normalize=manifest.normalize)
    return {"embedding": vector}


HEAD = TaskHead(
    api=API,
    parameters=parameters,
    texts=texts,
    postprocess=postprocess,
    max_outputs=lambda manifest, parameters: vectors_per_answer(dimensions(manifest, parameters)),
    output_width=lambda manifest: manifest.dimensions,
)
