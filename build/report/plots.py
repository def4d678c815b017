"""The two plots of an evidence page, as SVG: candidates by latency and similarity, and latency by length."""

import html
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from build.report import figures

WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT = 720, 340, 64, 44, 20, 20
# The mean width of a character of 12 px, in units of the drawing; SVG cannot measure text.
CHARACTER_WIDTH = 6
# Distances between ticks of the vertical axis; the first that makes at most five is taken.
TICK_STEPS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
Scale = Callable[[float], float]
Candidate = Mapping[str, Any]


def pareto_plot(candidates: Sequence[Candidate], limit: float, unit: str) -> str:
    """Return a plot of latency against similarity; a circle grows with the artefact's size, its number is the row."""
    x = _logarithmic([c["expected_ms"] for c in candidates], LEFT, WIDTH - RIGHT)
    # The axis ends a little above 1 and below the lowest, so that no circle is cut off.
    lowest = min([*map(figures.similarity, candidates), limit])
    y = linear(lowest - (1 - lowest) * 0.12 - 1e-4, 1 + (1 - lowest) * 0.08, HEIGHT - BOTTOM, TOP)
    biggest = max(c["bytes"] for c in candidates)
    parts = [*_axis_x(x, [c["expected_ms"] for c in candidates], f"expected ms per {unit}")]
    parts += _axis_y(y, lowest)
    parts.append(
        f'<line class="gate" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(limit):.1f}" y2="{y(limit):.1f}"/>'
        f'<text class="note" x="{WIDTH - RIGHT}" y="{y(limit) - 5:.1f}" text-anchor="end">gate {limit:.1%}</text>'
    )
    front = sorted((c for c in candidates if c["pareto"]), key=lambda c: c["expected_ms"])
    points = " ".join(f"{x(c['expected_ms']):.1f},{y(figures.similarity(c)):.1f}" for c in front)
    parts.append(f'<polyline class="front" points="{points}"/>')
    # The largest circles are drawn first, so that no other is hidden under one.
    order = sorted(enumerate(candidates, start=1), key=lambda pair: -pair[1]["bytes"])
    for number, c in order:
        # The smallest circle has to hold its number.
        radius = 7 + 15 * math.sqrt(c["bytes"] / biggest)
        left, top = x(c["expected_ms"]), y(figures.similarity(c))
        parts.append(
            f'<g class="{css_class(c)}"><title>{html.escape(_tooltip(c))}</title>'
            f'<circle cx="{left:.1f}" cy="{top:.1f}" r="{radius:.1f}"/>'
            f'<text x="{left:.1f}" y="{top + 4:.1f}" text-anchor="middle">{number}</text></g>'
        )
    return svg(parts, "Candidates by latency and by similarity to the reference")


def _tooltip(candidate: Candidate) -> str:
    """Return the recipe, and the task's metric if there is one."""
    if "metric" not in candidate:
        return str(candidate["recipe"])
    return f"{candidate['recipe']}, {candidate['metric']} {figures.metric(candidate)}"


def css_class(candidate: Candidate) -> str:
    """Return the class by which report.css draws a candidate."""
    if candidate["chosen"]:
        return "chosen"
    return "rejected" if candidate["failures"] else "passed"


def latency_plot(candidates: Sequence[Candidate]) -> str:
    """Return a plot of milliseconds by tokens, both on logarithmic axes."""
    lengths = [int(tokens) for tokens in candidates[0]["ms"]]
    every = [ms for c in candidates for ms in c["ms"].values()]
    right = WIDTH - RIGHT - CHARACTER_WIDTH * max(len(c["recipe"]) for c in candidates)
    x, y = _logarithmic(lengths, LEFT, right - 8), _logarithmic(every, HEIGHT - BOTTOM, TOP)
    parts = [*_axis_x(x, lengths, "tokens")]
    for ms in _ticks(every):
        parts.append(
            f'<line class="grid" x1="{LEFT}" x2="{right - 8}" y1="{y(ms):.1f}" y2="{y(ms):.1f}"/>'
            f'<text class="tick" x="{LEFT - 8}" y="{y(ms) + 4:.1f}" text-anchor="end">{ms:g} ms</text>'
        )
    ends = sorted(candidates, key=lambda c: -list(c["ms"].values())[-1])
    # Names are written from the top down, each at least 15 below the last, so that none covers another.
    place = 0.0
    for c in ends:
        points = " ".join(f"{x(int(t)):.1f},{y(ms):.1f}" for t, ms in c["ms"].items())
        place = max(place + 15, y(list(c["ms"].values())[-1]))
        parts.append(
            f'<g class="{css_class(c)}"><polyline class="line" points="{points}"/>'
            f'<text x="{right}" y="{place + 4:.1f}">{html.escape(c["recipe"])}</text></g>'
        )
    return svg(parts, "Latency by length", height=max(HEIGHT, place + 30))


def svg(parts: Sequence[str], title: str, height: float = HEIGHT) -> str:
    inner = "".join(parts)
    return f'<svg viewBox="0 0 {WIDTH} {height:.0f}" role="img" aria-label="{title}">{inner}</svg>'


def linear(low: float, high: float, start: float, end: float) -> Scale:
    return lambda value: start + (value - low) / (high - low) * (end - start)


def _logarithmic(values: Sequence[float], start: float, end: float) -> Scale:
    low, high = math.log(min(values) * 0.85), math.log(max(values) * 1.2)
    return lambda value: start + (math.log(value) - low) / (high - low) * (end - start)


def _ticks(values: Sequence[float]) -> list[float]:
    """Return 1, 2 and 5 times powers of ten within the range of the values."""
    low, high = min(values) * 0.85, max(values) * 1.2
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    return [m * 10.0**p for p in powers for m in (1, 2, 5) if low <= m * 10.0**p <= high]


def _axis_x(x: Scale, values: Sequence[float], name: str) -> list[str]:
    bottom = HEIGHT - BOTTOM
    ticks = list(values) if name == "tokens" else _ticks(values)
    parts = [
        f'<line class="grid" x1="{x(v):.1f}" x2="{x(v):.1f}" y1="{TOP}" y2="{bottom}"/>'
        f'<text class="tick" x="{x(v):.1f}" y="{bottom + 18}" text-anchor="middle">{v:g}</text>'
        for v in ticks
    ]
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(
        f'<text class="note" x="{middle}" y="{HEIGHT - 6}" text-anchor="middle">{name}</text>'
    )
    return parts


def _axis_y(y: Scale, lowest: float) -> list[str]:
    step = next(s for s in TICK_STEPS if (1 - lowest) / s <= 5)
    parts = []
    for i in range(6):
        value = 1 - i * step
        if value < lowest - step / 2:
            break
        parts.append(
            f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(value):.1f}" y2="{y(value):.1f}"/>'
            f'<text class="tick" x="{LEFT - 8}" y="{y(value) + 4:.1f}" text-anchor="end">{value:.1%}</text>'
        )
    return parts
