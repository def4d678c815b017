"""A graph that a runtime has opened: what an encoder knows of ONNX Runtime or any other."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from functions.inference.token_batches import Feeds

# A forward pass: [batch, tokens] inputs by name -> the graph's one output.
Forward = Callable[["Feeds"], "NDArray[np.float32]"]
# The sizes of an output's axes, and a name or None for each that the graph leaves open.
Shape = tuple[int | str | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenGraph:
    """A graph with one output of that shape, ready to run; several threads may run it at once.

    The first of `providers` is the one in use.
    """

    forward: Forward
    input_names: tuple[str, ...]
    shape: Shape
    providers: tuple[str, ...]


class Runtime(Protocol):
    """A runtime of encoders: the function that opens a graph on so many threads of a device, "cpu" or "cuda".

    With `bind`, tensors are placed in the memory of the device before each run, where the runtime can do so.
    """

    def __call__(self, model: Path, *, threads: int, device: str, bind: bool) -> OpenGraph:
        """Open a graph."""
        ...


def on_onnx_runtime(model: Path, *, threads: int, device: str, bind: bool) -> OpenGraph:
    """Open an ONNX graph in ONNX Runtime."""
    # Imported here, so that a function loads the one runtime that it has.
    from functions.inference.session import bound, open_session, unbound

    session = open_session(model, threads=threads, device=device)
    return OpenGraph(
        forward=bound(session) if bind else unbound(session),
        input_names=tuple(node.name for node in session.get_inputs()),
        shape=tuple(session.get_outputs()[0].shape),
        providers=tuple(session.get_providers()),
    )
