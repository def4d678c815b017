"""Run layers of many shapes by one kernel, and print the digest of each answer."""

import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from build.recipes.encoder_layers.matching import Activation
from tests.build.kernels.layers import (
    Layer,
    inputs,
    opened,
    positions_of,
    run,
    with_no_numbers,
)

# Heads, the size of one, inner columns, texts, tokens: full and partial tiles of each kernel in every direction.
SHAPES = (
    (2, 32, 176, 1, 1),
    (3, 16, 80, 2, 5),
    (1, 64, 16, 1, 47),
    (4, 16, 112, 3, 9),
    (2, 48, 64, 1, 130),
)


def cases() -> Iterator[tuple[int, Layer, Any, Any, Any]]:
    """Yield the number of each shape, its layer, what is added to its scores, its mask and its inputs."""
    for seed, (heads, head, inner, texts, tokens) in enumerate(SHAPES):
        # Each activation, the first one twice; positions with masks of all kinds.
        layer = Layer.drawn(
            heads=heads,
            head=head,
            inner=inner,
            seed=seed,
            activation=Activation(seed % len(Activation)),
            positions=seed > 1,
        )
        added = positions_of(seed, heads, tokens) if layer.positions else None
        mask = np.random.default_rng(seed).integers(0, 4, (texts, tokens)) > 0
        yield seed, layer, added, mask, inputs(seed, texts, tokens, layer.hidden)


def main() -> None:
    digests = []
    for _, layer, added, mask, x in cases():
        session = opened(layer.graph(), Path(sys.argv[1]))
        for each in (x, with_no_numbers(x)):
            y = run(session, each, mask, added)
            digests.append(hashlib.sha256(y.tobytes()).hexdigest())
    sys.stdout.write(json.dumps(digests))


if __name__ == "__main__":
    main()
