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
    """A graph with one output of that shape, ready to run; several threads may call it at once.

    The first of `providers` is the one in use. A place of padding costs as much as `padded` tokens.
    """

    forward: Forward
    input_names: tuple[str, ...]
    shape: Shape
    providers: tuple[str, ...]
    padded: float = 1.0


class Opener(Protocol):
    """A runtime of encoders: the function that opens a graph on so many threads of a device, "cpu" or "cuda".

    With `bind`, tensors are placed in the memory of the device before each run, where the runtime can do so. `kernels`
    is the checked library of operators of our own, which ONNX Runtime alone loads. So many runs as are to be `at_once`
    do not wait for each other: each has that many threads.
    """

    def __call__(
        self,
        model: Path,
        *,
        threads: int,
        device: str,
        bind: bool,
        kernels: Path | None = None,
        at_once: int = 1,
    ) -> OpenGraph:
        """Open a graph."""
        ...
