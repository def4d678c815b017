"""Intermediate tensors of a graph: what they hold while it runs, on the user's rows for instance."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import onnx

from build.graph.edit import Floats
from build.graph.file import remove, save
from functions.inference.session import open_session
from functions.inference.token_batches import Feeds

# Takes the name of a tensor and its values of one run, as [tokens, channels].
Observer = Callable[[str, Floats], None]


def observe(
    model: Any, names: Sequence[str], feeds: Sequence[Feeds], scratch: Path, observer: Observer
) -> None:
    """Run the model on each of the feeds and pass the values of the named tensors to the observer.

    `scratch` is the path of a temporary file: the model with these tensors among its outputs.
    """
    if not names:  # to ONNX Runtime an empty list of outputs means all of them
        return
    workers = os.cpu_count() or 1
    with with_observed_outputs(model, names, scratch) as run, ThreadPoolExecutor(workers) as pool:
        # As many at once as there are processors, so that few values are held; their order stays that of the feeds.
        for start in range(0, len(feeds), workers):
            for values in pool.map(run, feeds[start : start + workers]):
                for name, value in zip(names, values, strict=True):
                    observer(name, value.reshape(-1, value.shape[-1]))


@contextmanager
def with_observed_outputs(
    model: Any, names: Sequence[str], scratch: Path, *, kernels: Path | None = None
) -> Iterator[Callable[[Mapping[str, Any]], list[Any]]]:
    """Yield a function that runs the model on a feed and returns the values of the named tensors.

    `kernels` is the library of its own operators, if it has any.
    """
    outputs = model.graph.output
    own = len(outputs)
    present = {output.name for output in outputs}
    # Without a type: ONNX Runtime infers it, and graphs that its optimiser has changed no longer say it.
    outputs.extend(onnx.ValueInfoProto(name=name) for name in names if name not in present)
    try:
        # Beside the graph, where ONNX Runtime maps the constants instead of reading them.
        save(model, scratch, max_bytes=0)
        session = open_session(scratch, threads=1, device="cpu", kernels=kernels)
        inputs = [node.name for node in session.get_inputs()]
        yield lambda feed: session.run(list(names), {name: feed[name] for name in inputs})
    finally:
        del outputs[own:]
        remove(scratch)
