"""A graph as matching reads it: who makes a tensor, its constants, and products with their bias and smoothing."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from build.graph.edit import Floats
from build.graph.tensors import array_of
from build.recipes.smoothquant import SCALES


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """A matrix product: its input before it is smoothed, its weights and bias, and the factors of smoothing."""

    input: str
    weights: Floats
    bias: Floats
    smooth: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A graph: its nodes by what they make, its constants by their names, and the kinds of what masks add to scores."""

    producers: Mapping[str, Any]
    constants: Mapping[str, Any]
    kinds: dict[str, str] = field(default_factory=dict)

    def made_by(self, name: str, operator: str) -> Any | None:
        """Return the node of that operator that makes a tensor."""
        node = self.producers.get(name)
        return node if node is not None and node.op_type == operator else None

    def array(self, name: str) -> Floats | None:
        """Return a constant; None for what a node makes."""
        tensor = self.constants.get(name)
        return None if tensor is None else array_of(tensor)

    def product(self, node: Any | None, bias: str) -> Product | None:
        """Return the product of a MatMul or Attention with constant weights and bias."""
        if node is None:
            return None
        weights, added = self.array(node.input[1]), self.array(bias)
        if weights is None or added is None or weights.ndim != 2:
            return None
        smoothing, name = self.made_by(node.input[0], "Mul"), node.input[0]
        smooth: Floats | None = None
        if smoothing is not None and smoothing.input[1].endswith(SCALES):
            name, smooth = smoothing.input[0], self.array(smoothing.input[1])
        ones = np.ones(len(weights), np.float32)
        return Product(
            input=name, weights=weights, bias=added, smooth=ones if smooth is None else smooth
        )

    def biased(self, name: str) -> Product | None:
        """Return the product that an Add has put its bias to."""
        added = self.made_by(name, "Add")
        for one, other in (added.input, reversed(added.input)) if added else ():
            if product := self.product(self.made_by(one, "MatMul"), other):
                return product
        return None
