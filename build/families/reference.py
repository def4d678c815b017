"""The original, by transformers and torch, or the graph that was given: what every candidate is measured against.

It answers through the same readers as the artefact that will be served, so that only the numbers can differ; that
the readers themselves answer as transformers does is what their tests show.
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
from functions.inference.tokens import INPUTS, Feeds, encode, feed, open_tokenizer

TOKENS_COMPARED = 64


def open_reference(source: TokenizedSource, graph: Path) -> Encoder:
    """The original behind the interface of an artefact; `graph` is the plain one, the original of an ONNX source."""
    if isinstance(source, TransformersSource):
        forward, names = _transformers(source)
    else:
        forward, names = {ONNX: _session, TORCHSCRIPT: _script}[source.kind](source, graph)
    return _over(forward, source, names)


def _over(forward: Forward, source: TokenizedSource, names: tuple[str, ...]) -> Encoder:
    checked = _checked(forward, source) if isinstance(source, GraphSource) else forward
    return Encoder.over(checked, source.tokenizer, _manifest(source), input_names=names)


def _checked(forward: Forward, source: GraphSource) -> Forward:
    """The pass of a bare graph, which raises SourceError where it answers otherwise than its task wants."""
    rank = head_of(source.task.name).output_rank

    def ask(feeds: Feeds) -> NDArray[np.float32]:
        numbers = forward(feeds)
        try:
            check_axes(source.task, numbers.shape, rank)
            check_labels(source.task, numbers.shape[-1], source.labels)
        except Unusable as error:
            raise SourceError([p.within(source.path) for p in error.problems]) from error
        return numbers

    return ask


def _manifest(source: TokenizedSource) -> Manifest:
    return Manifest(
        model="original",
        task=source.task.name,
        tier=Tier.GPU,
        precision="fp32",
        recipe="original",
        max_tokens=source.max_tokens,
        labels=source.labels,
        pad_token_id=source.pad_token_id,
        batches=source.batches,
        details=source.details,
        toolchain={},
    )


def _transformers(source: TransformersSource) -> tuple[Forward, tuple[str, ...]]:
    import transformers

    task = source.task.transformers
    model = load(getattr(transformers, task.auto_class), source.folder, unused=task.unused_weights)
    known = inspect.signature(model.forward).parameters
    names = tuple(name for name in INPUTS if name in known)
    return (lambda feeds: _forward(model, source, feeds)), names


def _session(source: GraphSource, graph: Path) -> tuple[Forward, tuple[str, ...]]:
    session = open_session(graph, threads=os.cpu_count() or 1, device="cpu")
    names = tuple(node.name for node in session.get_inputs())
    return (lambda feeds: session.run(None, feeds)[0]), names


def _script(source: GraphSource, graph: Path) -> tuple[Forward, tuple[str, ...]]:
    import torch

    module = torchscript.load(source.path)
    count = len(source.task.graph.names)

    def forward(feeds: Feeds) -> NDArray[np.float32]:
        with torch.inference_mode():
            asked = [torch.from_numpy(np.array(feeds[name])) for name in source.inputs]
            found = torchscript.first_tensors(module(*asked), count)
        numbers: NDArray[np.float32] = (found[0] if count == 1 else torch.stack(found, -1)).numpy()
        return numbers

    return forward, source.inputs


def _at_once(source: GraphSource, requests: Sequence[PredictRequest]) -> Forward:
    """What TensorFlow answers to all that the requests feed it, in their order.

    Its process takes seconds to start, so it is told everything at once: first it is only listened to what is asked.
    """
    head = head_of(source.task.name)
    width = head.output_width(_manifest(source))
    asked: list[Feeds] = []

    def listen(feeds: Feeds) -> NDArray[np.float32]:
        asked.append(feeds)
        shape = feeds["input_ids"].shape[: head.output_rank - 1]
        return np.zeros((*shape, width), np.float32)

    listening = _over(listen, source, source.inputs)
    for request in requests:
        listening.outputs(request)
    found = iter(tensorflow_source.predict(source, asked))

    def forward(feeds: Feeds) -> NDArray[np.float32]:
        parts = next(found)
        numbers: NDArray[np.float32] = parts[0] if len(parts) == 1 else np.stack(parts, axis=-1)
        return probabilities.as_logits(numbers, source)

    return forward


def answers(
    source: TokenizedSource,
    requests: Sequence[PredictRequest],
    graph: Path = Path(),
    notify: Notify = silent,
) -> tuple[tuple[dict[str, Any], ...], ...]:
    """The original's outputs for each request; raises ModelFailed for numbers that are not finite."""
    if isinstance(source, GraphSource) and source.kind in (SAVED_MODEL, TFLITE):
        original = _over(_at_once(source, requests), source, source.inputs)
    else:
        original = open_reference(source, graph)
    if isinstance(source, TransformersSource):
        _check_tokens(source, original, requests)
    with quiet():
        return tuple(tuple(original.outputs(one)) for one in counted(requests, notify))


def feeds_of(source: TokenizedSource, requests: Sequence[PredictRequest]) -> list[Feeds]:
    """What each text that the requests make feeds the model, one text at a time."""
    head = head_of(source.task.name)
    tokenizer = open_tokenizer(
        source.tokenizer,
        source.max_tokens,
        truncation=head.truncation,
        windows=head.windows,
    )
    texts = [
        text
        for request in requests
        for value in request.inputs
        for text in head.texts(value, request.parameters)
    ]
    manifest = _manifest(source)
    return [feed([encoding], tuple(INPUTS), manifest) for encoding in encode(tokenizer, texts)]


def _forward(model: Any, source: TransformersSource, feeds: Feeds) -> NDArray[np.float32]:
    """One pass, with the head that the built graph has at its end."""
    import torch

    with torch.inference_mode():
        tensors = {name: torch.from_numpy(np.array(array)) for name, array in feeds.items()}
        output = model(**tensors)
        results = source.task.transformers.read_output(output, tensors, source.details)
        if source.pooling:
            results = _pool(source.pooling, source.folder, results, tensors["attention_mask"])
    numbers: NDArray[np.float32] = results.numpy().astype(np.float32)
    return numbers


def _pool(pooling: Pooling, folder: Path, hidden: Any, mask: Any) -> Any:
    """Return a vector for each text, by torch alone; texts are padded on the right."""
    import torch

    weights = mask.unsqueeze(-1).float()
    count, total = weights.sum(1).clamp(min=1e-9), (hidden * weights).sum(1)
    places = weights.cumsum(1) * weights
    ways = {
        "cls": lambda: hidden[:, 0],
        "max": lambda: hidden.masked_fill(weights == 0, -torch.inf).max(1).values,
        "mean": lambda: total / count,
        "mean_sqrt_len_tokens": lambda: total / count.sqrt(),
        "weightedmean": lambda: (hidden * places).sum(1) / places.sum(1).clamp(min=1e-9),
        "lasttoken": lambda: hidden[torch.arange(len(hidden)), mask.sum(1) - 1],
    }
    pooled = torch.cat([ways[mode]() for mode in pooling.modes.split("+")], dim=-1)
    for dense in pooling.dense:
        pooled = _layer(folder / dense.place, dense, pooled)
    return torch.nn.functional.normalize(pooled, dim=-1) if pooling.normalize else pooled


def _layer(folder: Path, dense: Dense, vectors: Any) -> Any:
    import torch
    from safetensors.torch import load_file

    weights = load_file(folder / WEIGHTS)
    bias = weights.get("linear.bias")
    activation = getattr(torch.nn, dense.activation)()
    made = torch.nn.functional.linear(
        vectors, weights["linear.weight"].float(), None if bias is None else bias.float()
    )
    return activation(made)


def _check_tokens(
    source: TransformersSource, original: Encoder, requests: Sequence[PredictRequest]
) -> None:
    """tokenizer.json, which is what is served, makes the same tokens as the class that transformers would load."""
    from transformers import AutoTokenizer

    with quiet():
        theirs = AutoTokenizer.from_pretrained(source.folder, local_files_only=True)
    for request in requests[:TOKENS_COMPARED]:
        texts = original.head.texts(request.inputs[0], request.parameters)
        text = texts[0] if isinstance(texts[0], str) else texts[0][0]
        one = theirs(text, truncation=True, max_length=source.max_tokens)["input_ids"]
        other = original.tokenizer.encode(text).ids
        if one != other:
            raise SourceError.about(
                source.folder,
                Code.TOKENIZER_MISMATCH,
                f"tokenizer.json makes other tokens of {text[:40]!r} than what tokenizer_config.json describes; "
                "save the tokenizer again from the one you trained with",
            )
