"""The page of a cascade draws what was found, and nothing that a user's text could break."""

import xml.etree.ElementTree as ElementTree
from dataclasses import replace

from build.report.cascade import cascade_page, curve_plot, reliability_plot
from contracts.cascade.calibration import Bin, Calibration, Point
from contracts.tasks import Task

CURVE = (
    Point(threshold=0.99, kept=0.1, lost=0.0, bound=0.006, accuracy=0.95),
    Point(threshold=0.8, kept=0.6, lost=0.002, bound=0.009, accuracy=0.96),
    Point(threshold=0.0, kept=1.0, lost=0.08, bound=0.1, accuracy=0.88),
)
BINS = (Bin(rows=50, confidence=0.55, right=0.4), Bin(rows=50, confidence=0.97, right=0.98))
MADE = Calibration(
    model="<intents>",
    task=Task.TEXT_CLASSIFICATION,
    cpu="c" * 64,
    gpu="d" * 64,
    max_loss=0.01,
    assurance=0.95,
    chosen=CURVE[1],
    test_rows=1500,
    fit_rows=1500,
    disagreed=12,
    cpu_accuracy=0.88,
    gpu_accuracy=0.95,
    calibration_error=0.08,
    calibration_error_fitted=0.02,
    reliability=BINS,
    curve=CURVE,
    rows_sha256="e" * 64,
    created="2026-11-26T23:00:00+00:00",
)


def circles(svg: str) -> list[tuple[str, float, float]]:
    """Return the class and the place of every circle of a drawing."""
    root = ElementTree.fromstring(svg)
    found = []
    for group in root.iter("g"):
        circle = group.find("circle")
        assert circle is not None
        found.append(
            (group.attrib["class"], float(circle.attrib["cx"]), float(circle.attrib["cy"]))
        )
    return found


def test_every_threshold_is_a_circle_and_the_chosen_one_lies_on_its_own() -> None:
    *points, chosen = circles(curve_plot(MADE))
    assert [kind for kind, *_ in points] == ["passed"] * 3
    assert chosen == ("chosen", *points[1][1:])
    # More is kept to the right, and more is right further up.
    assert points[0][1] < points[1][1] < points[2][1]
    assert points[1][2] < points[0][2] < points[2][2]


def test_bins_on_the_diagonal_are_drawn_on_it() -> None:
    exact = [Bin(rows=9, confidence=value, right=value) for value in (0.5, 0.7, 0.9)]
    (_, x0, y0), (_, x1, y1), (_, x2, y2) = circles(reliability_plot(exact))
    assert abs((y1 - y0) / (x1 - x0) - (y2 - y1) / (x2 - x1)) < 0.01
    (_, x, low), _ = circles(reliability_plot(BINS))
    # Less is right than the confidence says, which is below the line.
    assert low > 0 < x


def test_answers_that_are_all_alike_still_have_a_drawing() -> None:
    same = [Point(threshold=t, kept=1.0, lost=0.0, bound=0.01, accuracy=1.0) for t in (0.5, 0.0)]
    alike = replace(MADE, curve=tuple(same), chosen=same[0], gpu_accuracy=1.0)
    assert len(circles(curve_plot(alike))) == 3
    assert len(circles(reliability_plot([Bin(rows=5, confidence=1.0, right=1.0)]))) == 1


def test_the_page_has_the_figures_the_doubts_and_no_markup_of_others() -> None:
    page = cascade_page(replace(MADE, doubts=("rows <b>were</b> seen",)))
    for shown in (
        "0.8000",
        "60.0%",
        "1,500 test rows",
        "0.90%",
        "rows &lt;b&gt;were&lt;/b&gt; seen",
    ):
        assert shown in page
    assert "<intents>" not in page
    assert "http" not in page.replace("https://", "").split("<body>")[1]
