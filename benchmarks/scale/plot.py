"""The plot in `docs/scale.svg`: seconds of a synthesis and of the start of the router, by the number of models."""

import html
import math
from collections.abc import Callable, Sequence
from typing import Any

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 640, 320, 70, 150, 24, 44
# One line for each: its name, the key of a row, the factor to seconds, and its colour.
LINES: Sequence[tuple[str, str, float, str]] = (
    ("synthesis", "s in all", 1.0, "#2563eb"),
    ("router's start", "ms to start the router", 1e-3, "#c2410c"),
)
STYLE = "font: 12px system-ui, sans-serif"


def plot(result: dict[str, Any]) -> str:
    """Return an SVG of a result, both axes logarithmic."""
    counts = [row["models"] for row in result["rows"]]
    every = [row[key] * factor for _, key, factor, _ in LINES for row in result["rows"]]
    x = _scale(counts, LEFT, WIDTH - RIGHT)
    y = _scale([min(every) / 1.5, max(every) * 1.5], HEIGHT - BOTTOM, TOP)
    parts = [
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
        *(_tick_x(x(count), f"{count}") for count in counts),
        *(_tick_y(y(value), f"{value:g} s") for value in _decades(every)),
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 8}" text-anchor="middle">'
        "models (seconds of processor time)</text>",
    ]
    for name, key, factor, colour in LINES:
        points = [(x(row["models"]), y(row[key] * factor)) for row in result["rows"]]
        joined = " ".join(f"{left:.1f},{top:.1f}" for left, top in points)
        last, value = points[-1], result["rows"][-1][key] * factor
        parts.append(
            f'<polyline fill="none" stroke="{colour}" stroke-width="2" points="{joined}"/>'
            + "".join(
                f'<circle cx="{left:.1f}" cy="{top:.1f}" r="3.5" fill="{colour}"/>'
                for left, top in points
            )
            + f'<text x="{last[0] + 8:.1f}" y="{last[1] + 4:.1f}" fill="{colour}">'
            f"{html.escape(name)}, {value:.3g} s</text>"
        )
    title = "Processor seconds of a synthesis and of the router's start by the number of models"
    inner = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{title}" style="{STYLE}">\n{inner}\n</svg>\n'
    )


def _scale(values: Sequence[float], start: float, end: float) -> Callable[[float], float]:
    low, high = math.log(min(values)), math.log(max(values))
    return lambda value: start + (math.log(value) - low) / (high - low) * (end - start)


def _decades(values: Sequence[float]) -> list[float]:
    """Return the powers of ten within the drawn range of the values."""
    low, high = min(values) / 1.5, max(values) * 1.5
    powers = range(math.ceil(math.log10(low)), math.floor(math.log10(high)) + 1)
    return [10.0**power for power in powers]


def _tick_x(left: float, text: str) -> str:
    return (
        f'<line x1="{left:.1f}" x2="{left:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}" stroke="#ddd"/>'
        f'<text x="{left:.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{text}</text>'
    )


def _tick_y(top: float, text: str) -> str:
    return (
        f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{top:.1f}" y2="{top:.1f}" stroke="#ddd"/>'
        f'<text x="{LEFT - 8}" y="{top + 4:.1f}" text-anchor="end">{text}</text>'
    )
