"""Run layers of drawn shapes on tensors that end where no page may be touched; print the digests of the answers."""

import ctypes
import hashlib
import json
import mmap
import sys
from pathlib import Path
from typing import Any

import numpy as np

from build.recipes.encoder_layers.matching import Activation
from tests.build.kernels.layers import Array, Layer, inputs, opened, positions_of

RUNS = 12
LIBC = ctypes.CDLL(None, use_errno=True)
PROT_NONE = 0


class Fenced:
    """Bytes whose end is followed by a page that ends the process when it is read or written."""

    def __init__(self, size: int) -> None:
        pages = -(-max(size, 1) // mmap.PAGESIZE)
        self.map = mmap.mmap(-1, (pages + 1) * mmap.PAGESIZE)
        start = ctypes.addressof(ctypes.c_char.from_buffer(self.map))
        fence = ctypes.c_void_p(start + pages * mmap.PAGESIZE)
        if LIBC.mprotect(fence, ctypes.c_size_t(mmap.PAGESIZE), PROT_NONE):
            raise OSError(ctypes.get_errno(), "mprotect")
        self.offset = pages * mmap.PAGESIZE - size

    def array(self, shape: tuple[int, ...], kind: Any) -> Array:
        count = int(np.prod(shape))
        return np.frombuffer(self.map, kind, count, self.offset).reshape(shape)


def fenced(value: Array) -> Array:
    found = Fenced(value.nbytes).array(value.shape, value.dtype)
    found[...] = value
    return found


def main() -> None:
    rng = np.random.default_rng(int(sys.argv[2]))
    digests = []
    for _ in range(RUNS):
        heads, head = int(rng.integers(1, 5)), int(rng.choice([16, 32, 48]))
        layer = Layer.drawn(
            heads=heads,
            head=head,
            inner=16 * int(rng.integers(1, 9)),
            seed=int(rng.integers(99)),
            activation=Activation(int(rng.integers(len(Activation)))),
            positions=bool(rng.integers(2)),
        )
        texts, tokens = int(rng.integers(1, 4)), int(rng.integers(1, 70))
        x = fenced(inputs(int(rng.integers(99)), texts, tokens, layer.hidden))
        mask = fenced((rng.random((texts, tokens)) < rng.random()).astype(np.int32))
        y = Fenced(x.nbytes).array(x.shape, np.float32)
        given = {"x": x, "mask": mask}
        if layer.positions:
            given["positions"] = fenced(positions_of(int(rng.integers(99)), heads, tokens)[None])
        binding = (session := opened(layer.graph(), Path(sys.argv[1]), 2)).io_binding()
        for name, value in given.items():
            binding.bind_input(name, "cpu", 0, value.dtype, value.shape, value.ctypes.data)
        binding.bind_output("y", "cpu", 0, np.float32, y.shape, y.ctypes.data)
        session.run_with_iobinding(binding)
        digests.append(hashlib.sha256(y.tobytes()).hexdigest())
    sys.stdout.write(json.dumps({"runs": len(digests), "digests": digests}))


if __name__ == "__main__":
    main()
