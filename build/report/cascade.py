"""The page of a calibrated cascade: what was chosen, the curve that it was chosen on, and the reliability diagram."""

import html
import math
from collections.abc import Sequence
from pathlib import Path

from build.report.page import CASCADE_PAGE, CSS
from build.report.plots import (
    BOTTOM,
    HEIGHT,
    LEFT,
    RIGHT,
    TICK_STEPS,
    TOP,
    WIDTH,
    Scale,
    linear,
    svg,
)
from build.workspace.publish import write_atomically
from contracts.cascade.calibration import Bin, Calibration, Point

# The most ticks of an axis but one.
TICKS = 6


def write_cascade_page(calibration: Calibration, place: Path) -> None:
    """Write the page of a calibration into the folder of its model."""
    write_atomically(place / CASCADE_PAGE, cascade_page(calibration))


def cascade_page(calibration: Calibration) -> str:
    """Return the page as a single HTML file without scripts, which loads nothing from elsewhere."""
    name = html.escape(calibration.model)
    point = calibration.chosen
    cards = (
        (f"{point.threshold:.4f}", "the confidence from which an answer of the CPU tier is kept"),
        (f"{point.kept:.1%}", f"of {calibration.test_rows:,} test rows are kept"),
        (f"{point.lost:.2%}", "are lost: kept, wrong, and right on the GPU tier"),
        (f"{point.bound:.2%}", f"at most are, with a probability of {calibration.assurance:.0%}"),
    )
    shown = "".join(f'<div class="card"><b>{n}</b><span>{what}</span></div>' for n, what in cards)
    doubts = "".join(
        f'<p class="problem">The bound does not hold: {html.escape(doubt)}</p>'
        for doubt in calibration.doubts
    )
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{name}: cascade</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{CSS.read_text('utf-8')}</style></head><body><h1>{name}: cascade</h1>"
        f'<p class="dim">{calibration.task}, CPU tier {calibration.cpu[:12]}, GPU tier {calibration.gpu[:12]}, '
        f"{html.escape(calibration.created)}</p>"
        f'{doubts}<div class="cards">{shown}</div>'
        "<h2>Right answers by the share that is kept</h2>"
        f"{curve_plot(calibration)}"
        '<p class="dim">Each circle is a threshold of the grid, the highest on the left, which keeps least. To the '
        "left everything goes to the GPU tier, to the right nothing. The green one is chosen: the last whose bound is "
        f"at most {calibration.max_loss:.2%}, as those of all to its left are.</p>"
        "<h2>Reliability of the confidence</h2>"
        f"{reliability_plot(calibration.reliability)}"
        '<p class="dim">Test rows in bins of equal size: their mean confidence, and the share that the CPU tier '
        "answers right. On the dotted line both are the same. The expected calibration error is "
        f"{calibration.calibration_error:.3f}, and {calibration.calibration_error_fitted:.3f} after an isotonic fit on "
        f"the other {calibration.fit_rows:,} rows.</p></body></html>\n"
    )


def curve_plot(calibration: Calibration) -> str:
    """Return a plot of the share kept against the share answered right by both tiers together."""
    points = [*calibration.curve, calibration.chosen]
    # The curve begins on the line of the GPU tier and ends on that of the CPU tier, so each is named at its other end.
    alone = (
        (calibration.gpu_accuracy, f'x="{WIDTH - RIGHT}" text-anchor="end"', "the GPU tier alone"),
        (calibration.cpu_accuracy, f'x="{LEFT + 6}"', "the CPU tier alone"),
    )
    rights = [point.accuracy for point in points] + [right for right, *_ in alone]
    x, y = linear(0.0, 1.0, LEFT, WIDTH - RIGHT), _heights(rights)
    parts = _axes(x, y, _ticks(0.0, 1.0), _ticks(*_range(rights)), "share kept on the CPU tier")
    parts += [_level(y(right), place, name) for right, place, name in alone]
    line = " ".join(f"{x(point.kept):.1f},{y(point.accuracy):.1f}" for point in calibration.curve)
    parts.append(f'<polyline class="front" points="{line}"/>')
    parts += [_circle(x, y, point, "passed") for point in calibration.curve]
    parts.append(_circle(x, y, calibration.chosen, "chosen"))
    return svg(parts, "Right answers by the share that is kept")


def reliability_plot(bins: Sequence[Bin]) -> str:
    """Return the reliability diagram: the mean confidence of each bin against the share that is right."""
    values = [value for one in bins for value in (one.confidence, one.right)]
    low, high = _range(values)
    x, y = linear(low, high, LEFT, WIDTH - RIGHT), linear(low, high, HEIGHT - BOTTOM, TOP)
    ticks = _ticks(low, high)
    parts = _axes(x, y, ticks, ticks, "confidence")
    ends = f"{x(low):.1f},{y(low):.1f} {x(high):.1f},{y(high):.1f}"
    parts.append(f'<polyline class="front" points="{ends}"/>')
    parts += [
        f'<g class="passed"><title>{one.rows} rows of {one.confidence:.3f}: {one.right:.1%} right</title>'
        f'<circle cx="{x(one.confidence):.1f}" cy="{y(one.right):.1f}" r="7"/></g>'
        for one in bins
    ]
    return svg(parts, "Reliability of the confidence")


def _circle(x: Scale, y: Scale, point: Point, kind: str) -> str:
    said = (
        f"from {point.threshold:.4f}: {point.kept:.1%} kept, {point.lost:.2%} lost, at most {point.bound:.2%}, "
        f"{point.accuracy:.1%} right"
    )
    radius = 9 if kind == "chosen" else 5
    place = f'cx="{x(point.kept):.1f}" cy="{y(point.accuracy):.1f}"'
    return f'<g class="{kind}"><title>{said}</title><circle {place} r="{radius}"/></g>'


def _level(height: float, place: str, name: str) -> str:
    """Return a line across the plot with its name above it, at a place of the drawing."""
    return (
        f'<line class="front" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{height:.1f}" y2="{height:.1f}"/>'
        f'<text class="note" {place} y="{height - 6:.1f}">{name}</text>'
    )


def _range(values: Sequence[float]) -> tuple[float, float]:
    """Return the range of an axis, a little wider than the values, which may all be the same."""
    low, high = min(values), max(values)
    margin = max((high - low) * 0.1, 0.005)
    return max(low - margin, 0.0), min(high + margin, 1.0)


def _heights(values: Sequence[float]) -> Scale:
    return linear(*_range(values), HEIGHT - BOTTOM, TOP)


def _ticks(low: float, high: float) -> list[float]:
    """Return round numbers within the range."""
    step = next(step for step in TICK_STEPS if (high - low) / step <= TICKS)
    return [
        step * i for i in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)
    ]


def _axes(x: Scale, y: Scale, across: Sequence[float], up: Sequence[float], name: str) -> list[str]:
    bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    parts = [
        f'<line class="grid" x1="{x(v):.1f}" x2="{x(v):.1f}" y1="{TOP}" y2="{bottom}"/>'
        f'<text class="tick" x="{x(v):.1f}" y="{bottom + 18}" text-anchor="middle">{v:.0%}</text>'
        for v in across
    ]
    parts += [
        f'<line class="grid" x1="{LEFT}" x2="{right}" y1="{y(v):.1f}" y2="{y(v):.1f}"/>'
        f'<text class="tick" x="{LEFT - 8}" y="{y(v) + 4:.1f}" text-anchor="end">{v:.1%}</text>'
        for v in up
    ]
    middle = (LEFT + right) / 2
    parts.append(
        f'<text class="note" x="{middle}" y="{HEIGHT - 6}" text-anchor="middle">{name}</text>'
    )
    return parts
