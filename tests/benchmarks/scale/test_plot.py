"""The plot of the page on scale is that of the result, and shows each of its points."""

import json
import xml.etree.ElementTree as ET

from benchmarks.record import RESULTS
from benchmarks.scale.__main__ import PLOT
from benchmarks.scale.plot import plot

RESULT = json.loads((RESULTS / "scale.json").read_text("utf-8"))
SVG = "{http://www.w3.org/2000/svg}"
LIMIT = 500


def test_the_plot_is_that_of_the_result() -> None:
    assert PLOT.read_text("utf-8") == plot(RESULT)


def test_every_number_of_models_has_a_point_on_each_line() -> None:
    drawn = ET.fromstring(plot(RESULT))
    circles = drawn.findall(f"{SVG}circle")
    assert len(circles) == 2 * len(RESULT["rows"])
    across = [float(one.attrib["cx"]) for one in circles[: len(RESULT["rows"])]]
    assert across == sorted(across)
    # A slower synthesis is drawn higher: the vertical axis of SVG points down.
    seconds = [row["s in all"] for row in RESULT["rows"]]
    down = [float(one.attrib["cy"]) for one in circles[: len(RESULT["rows"])]]
    assert sorted(range(len(seconds)), key=lambda i: seconds[i]) == sorted(
        range(len(down)), key=lambda i: -down[i]
    )


def test_no_stack_grows_with_the_number_of_models_to_the_limit_of_cloudformation() -> None:
    rows = RESULT["rows"]
    assert [row["models"] for row in rows] == [1, 10, 100]
    for key in ("resources of a CPU stack", "of a GPU stack", "of the router's"):
        assert len({row[key] for row in rows}) == 1
        assert rows[0][key] < LIMIT / 10
    assert [row["stacks"] for row in rows] == [1 + 1 + 1, 1 + 10 + 1, 1 + 100 + 10]
