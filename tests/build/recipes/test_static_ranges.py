"""Static ranges: those that activations have on the rows, or on most of them."""

from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper

from build.graph.edit import make_model
from build.recipes.static_ranges import (
    Range,
    common_range,
    observed_ranges,
    spread,
    symmetric,
)

# Rows of one text each; those of the last one are far away from the others'.
ROWS = [np.array([[low, high]], np.int64) for low, high in [(-1, 1)] * 9 + [(2, 90)]]


@pytest.mark.parametrize(("share", "limits"), [(1.0, (-1.0, 90.0)), (0.85, (-1.0, 1.0))])
def test_a_range_holds_all_rows_or_so_large_a_share_of_them(
    share: float, limits: Range, tmp_path: Path
) -> None:
    inputs, outputs = (
        [helper.make_tensor_value_info(name, kind, ["b", "t"])]
        for name, kind in (("x", TensorProto.INT64), ("y", TensorProto.FLOAT))
    )
    nodes = [helper.make_node("Cast", ["x"], ["y"], to=TensorProto.FLOAT)]
    model = make_model(helper.make_graph(nodes, "graph", inputs, outputs))
    feeds = [{"x": row} for row in ROWS]
    found = observed_ranges(model, ["y"], feeds, tmp_path / "scratch.onnx")
    assert {name: common_range(each, share) for name, each in found.items()} == {"y": limits}


@pytest.mark.parametrize("limits", [(-3.0, 1.0), (0.0, 5.0), (-2.0, 0.0), (0.0, 0.0)])
def test_the_integers_of_a_range_reach_its_ends_and_give_0_back(limits: Range) -> None:
    for least, most, (step, zero) in ((0, 255, spread(limits)), (-127, 127, symmetric(limits))):
        assert step > 0
        integers = np.rint(np.array([*limits, 0.0]) / step) + zero
        assert integers.min() >= least
        assert integers.max() <= most
        assert integers[2] == zero
    assert symmetric(limits)[1] == 0
