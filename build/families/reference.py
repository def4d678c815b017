"""The reference of an encoder, which every candidate is compared with, and the inputs that calibration takes.

A Hugging Face folder is answered for by its own library (`build/reading/`). The format of a bare graph has no second
reader, so the user's own file is run in its own runtime, and its numbers become outputs by the task heads of the served
artefact.
"""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from build.errors import SourceError
from build.evaluation.rows import Row
from build.reading.outputs import Reference, run_library
from build.sources import probabilities, torchscript
from build.sources.bare_graph import check_axes, check_labels
from build.sources.formats import ONNX, SAVED_MODEL, TFLITE, TORCHSCRIPT
from build.sources.source import GraphSource, TokenizedSource, TransformersSource, Unusable
from build.sources.tensorflow import source as tensorflow_source
from build.workspace.progress import Notify, counted, silent
from build.workspace.quiet import quiet
from contracts.manifest import Manifest
from contracts.prediction import PredictRequest
from contracts.tasks import Tier
from functions.inference.encoder import Encoder, encodings_of
from functions.inference.runtimes.open_graph import Forward
from functions.inference.session import open_session
from functions.inference.tasks import head_of
from functions.inference.token_batches import INPUTS, Feeds, feed, open_tokenizer

Logits = NDArray[np.float32]


def reference(
    source: TokenizedSource, rows: Sequence[Row], graph: Path = Path(), notify: Notify = silent
) -> Reference:
    """Return the reference of the rows; `graph` is the prepared one, which an ONNX source is run by.

    Raise ModelFailed for numbers that are not finite, and SourceError for a graph that does not suit its task.
    """
    if isinstance(source, TransformersSource):
        return run_library(source, rows, notify)
    requests = [row.request for row in rows]
    encoder = open_graph(source, requests, graph)
    with quiet():
        return Reference(
            outputs=[encoder.outputs(request) for request in counted(requests, notify)]
        )


def open_graph(source: GraphSource, requests: Sequence[PredictRequest], graph: Path) -> Encoder:
    """Return the user's graph in its own runtime, behind the interface of an artefact."""
    if source.kind in (SAVED_MODEL, TFLITE):
        return _encoder(_tensorflow(source, requests), source.inputs, source)
    return _encoder(*forward_of(source, graph), source)


def forward_of(source: GraphSource, graph: Path) -> tuple[Forward, tuple[str, ...]]:
    """Return the graph's forward pass, from tokens to logits, and the names of its inputs."""
    # TensorFlow's formats are not among them: its process runs all requests at once.
    return {ONNX: _onnx, TORCHSCRIPT: _torchscript}[source.kind](source, graph)


def _encoder(forward: Forward, names: tuple[str, ...], source: GraphSource) -> Encoder:
    return Encoder.over(
        _checked(forward, source), source.tokenizer, _manifest(source), input_names=names
    )


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
    found = [encodings_of(tokenizer, head, manifest, request) for request in requests]
    each = [encoding for of_request in found for own in of_request for encoding in own]
    return [feed([encoding], tuple(INPUTS), manifest) for encoding in each]
