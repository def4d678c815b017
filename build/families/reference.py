"""The reference of an encoder: the user's model, run by its own library, which every candidate is compared with.

Its numbers become outputs by the same task heads as those of the served artefact, so that nothing but the numbers can
differ. The heads themselves are compared with transformers' pipelines in their tests. Scorers use its forward pass, and
calibration its inputs.
"""

import inspect
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from build.errors import SourceError
from build.families.transformers_model import load
from build.sources import probabilities, torchscript
from build.sources.bare_graph import check_axes, check_labels
from build.sources.formats import ONNX, SAVED_MODEL, TFLITE, TORCHSCRIPT
from build.sources.huggingface.weights import WEIGHTS
from build.sources.source import (
    Dense,
    GraphSource,
    Pooling,
    TokenizedSource,
    TransformersSource,
    Unusable,
)
from build.sources.tensorflow import source as tensorflow_source
from build.workspace.progress import Notify, counted, silent
from build.workspace.quiet import quiet
from contracts.manifest import Manifest
from contracts.prediction import PredictRequest
from contracts.problems import Code
from contracts.tasks import Tier
from functions.inference.encoder import Encoder, Forward
from functions.inference.session import open_session
from functions.inference.tasks import head_of
from functions.inference.token_batches import INPUTS, Feeds, encode, feed, open_tokenizer

# Rows whose tokens are compared: a tokenizer that differs does so within a few texts.
MAX_COMPARED_ROWS = 64
Logits = NDArray[np.float32]


def answers(
    source: TokenizedSource,
    requests: Sequence[PredictRequest],
    graph: Path = Path(),
    notify: Notify = silent,
) -> tuple[tuple[dict[str, Any], ...], ...]:
    """Return the reference's outputs for each request; `graph` is the prepared one, which an ONNX source is run by.

    Raise ModelFailed for numbers that are not finite, and SourceError for a graph that does not suit its task.
    """
    if isinstance(source, GraphSource) and source.kind in (SAVED_MODEL, TFLITE):
        reference = _encoder(_tensorflow(source, requests), source.inputs, source)
    else:
        reference = open_reference(source, graph)
    if isinstance(source, TransformersSource):
        _check_tokens(source, reference, requests)
    with quiet():
        return tuple(tuple(reference.outputs(request)) for request in counted(requests, notify))


def open_reference(source: TokenizedSource, graph: Path) -> Encoder:
    """Return the reference behind the interface of an artefact; `graph` is the prepared one."""
    return _encoder(*forward_of(source, graph), source)


def forward_of(source: TokenizedSource, graph: Path) -> tuple[Forward, tuple[str, ...]]:
    """Return the reference's forward pass, from tokens to logits, and the names of its inputs."""
    if isinstance(source, TransformersSource):
        return _transformers(source)
    # TensorFlow's formats are not among them: `answers` runs these for all requests at once.
    return {ONNX: _onnx, TORCHSCRIPT: _torchscript}[source.kind](source, graph)


def _encoder(forward: Forward, names: tuple[str, ...], source: TokenizedSource) -> Encoder:
    checked = _checked(forward, source) if isinstance(source, GraphSource) else forward
    return Encoder.over(checked, source.tokenizer, _manifest(source), input_names=names)


def _checked(forward: Forward, source: GraphSource) -> Forward:
    """Return the forward pass of a bare graph, which raises SourceError if its output does not suit the task."""
    rank = head_of(source.task.name).output_rank

    def checked(feeds: Feeds) -> Logits:
        logits = forward(feeds)
        try:
            check_axes(source.task, logits.shape, rank)
            check_labels(source.task, logits.shape[-1], source.labels)
        except Unusable as error:
            raise SourceError([p.within(source.path) for p in error.problems]) from error
        return logits

    return checked


def _manifest(source: TokenizedSource) -> Manifest:
    return Manifest(
        model="reference",
        task=source.task.name,
        tier=Tier.GPU,
        precision="fp32",
        recipe="reference",
        max_tokens=source.max_tokens,
        labels=source.labels,
        pad_token_id=source.pad_token_id,
        batches=source.batchable,
        details=source.details,
        toolchain={},
    )


def _transformers(source: TransformersSource) -> tuple[Forward, tuple[str, ...]]:
    import transformers

    task = source.task.transformers
    model = load(getattr(transformers, task.auto_class), source.folder, unused=task.unused_weights)
    parameters = inspect.signature(model.forward).parameters
    # DistilBERT, for one, takes no token types.
    names = tuple(name for name in INPUTS if name in parameters)
    return (lambda feeds: _forward(model, source, feeds)), names


def _onnx(source: GraphSource, graph: Path) -> tuple[Forward, tuple[str, ...]]:
    session = open_session(graph, threads=os.cpu_count() or 1, device="cpu")
    names = tuple(node.name for node in session.get_inputs())
    return (lambda feeds: session.run(None, feeds)[0]), names


def _torchscript(source: GraphSource, graph: Path) -> tuple[Forward, tuple[str, ...]]:
    import torch

    module = torchscript.load(source.path)
    count = len(source.task.graph.names)

    def forward(feeds: Feeds) -> Logits:
        with torch.inference_mode():
            inputs = [torch.from_numpy(np.array(feeds[name])) for name in source.inputs]
            outputs = torchscript.first_tensors(module(*inputs), count)
        logits: Logits = (outputs[0] if count == 1 else torch.stack(outputs, -1)).numpy()
        return logits

    return forward, source.inputs


def _tensorflow(source: GraphSource, requests: Sequence[PredictRequest]) -> Forward:
    """Return the forward pass of TensorFlow for the feeds of those requests, in their order.

    Its process takes seconds to start, so it is started once for all feeds. These are collected by a first round over
    the requests, whose outputs are not used.
    """
    head = head_of(source.task.name)
    width = head.output_width(_manifest(source))
    collected: list[Feeds] = []

    def collect(feeds: Feeds) -> Logits:
        collected.append(feeds)
        shape = feeds["input_ids"].shape[: head.output_rank - 1]
        return np.zeros((*shape, width), np.float32)

    collector = _encoder(collect, source.inputs, source)
    for request in requests:
        collector.outputs(request)
    predictions = iter(tensorflow_source.predict(source, collected))

    def forward(feeds: Feeds) -> Logits:
        outputs = next(predictions)
        logits: Logits = outputs[0] if len(outputs) == 1 else np.stack(outputs, axis=-1)
        return probabilities.as_logits(logits, source)

    return forward


def feeds_of(source: TokenizedSource, requests: Sequence[PredictRequest]) -> list[Feeds]:
    """Return the model's inputs for each text that the requests make, one text at a time."""
    head = head_of(source.task.name)
    tokenizer = open_tokenizer(
        source.tokenizer, source.max_tokens, truncation=head.truncation, windows=head.windows
    )
    manifest = _manifest(source)
    texts = [
        text
        for request in requests
        for value in request.inputs
        for text in head.texts(value, request.parameters, manifest)
    ]
    return [feed([encoding], tuple(INPUTS), manifest) for encoding in encode(tokenizer, texts)]


def _forward(model: Any, source: TransformersSource, feeds: Feeds) -> Logits:
    """Return what the exported graph, with its head, has to return for the feeds."""
    import torch

    with torch.inference_mode():
        tensors = {name: torch.from_numpy(np.array(array)) for name, array in feeds.items()}
        output = model(**tensors)
        results = source.task.transformers.read_output(output, tensors, source.details)
        if source.pooling:
            results = _pool(source.pooling, source.folder, results, tensors["attention_mask"])
    logits: Logits = results.numpy().astype(np.float32)
    return logits


def _pool(pooling: Pooling, folder: Path, hidden: Any, mask: Any) -> Any:
    """Return a vector for each text, by torch alone; texts are padded on the right."""
    import torch

    weights = mask.unsqueeze(-1).float()
    count, total = weights.sum(1).clamp(min=1e-9), (hidden * weights).sum(1)
    places = weights.cumsum(1) * weights
    modes = {
        "cls": lambda: hidden[:, 0],
        "max": lambda: hidden.masked_fill(weights == 0, -torch.inf).max(1).values,
        "mean": lambda: total / count,
        "mean_sqrt_len_tokens": lambda: total / count.sqrt(),
        "weightedmean": lambda: (hidden * places).sum(1) / places.sum(1).clamp(min=1e-9),
        "lasttoken": lambda: hidden[torch.arange(len(hidden)), mask.sum(1) - 1],
    }
    pooled = torch.cat([modes[mode]() for mode in pooling.modes.split("+")], dim=-1)
    for dense in pooling.dense:
        pooled = _layer(folder / dense.place, dense, pooled)
    return torch.nn.functional.normalize(pooled, dim=-1) if pooling.normalize else pooled


def _layer(folder: Path, dense: Dense, vectors: Any) -> Any:
    import torch
    from safetensors.torch import load_file

    weights = load_file(folder / WEIGHTS)
    bias = weights.get("linear.bias")
    activation = getattr(torch.nn, dense.activation)()
    outputs = torch.nn.functional.linear(
        vectors, weights["linear.weight"].float(), None if bias is None else bias.float()
    )
    return activation(outputs)


def _check_tokens(
    source: TransformersSource, reference: Encoder, requests: Sequence[PredictRequest]
) -> None:
    """Raise SourceError if tokenizer.json makes other tokens than the class that transformers loads.

    tokenizer.json is what is served, but transformers builds some tokenizers from other files of the folder.
    """
    from transformers import AutoTokenizer

    with quiet():
        tokenizer = AutoTokenizer.from_pretrained(source.folder, local_files_only=True)
    for request in requests[:MAX_COMPARED_ROWS]:
        texts = reference.head.texts(request.inputs[0], request.parameters, reference.manifest)
        text = texts[0] if isinstance(texts[0], str) else texts[0][0]
        expected = tokenizer(text, truncation=True, max_length=source.max_tokens)["input_ids"]
        if reference.tokenizer.encode(text).ids != expected:
            raise SourceError.about(
                source.folder,
                Code.TOKENIZER_MISMATCH,
                f"tokenizer.json makes other tokens of {text[:40]!r} than what tokenizer_config.json describes; "
                "save the tokenizer again from the one you trained with",
            )
