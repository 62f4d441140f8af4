"""Lines over time as SVG: clocks, heat, power, and the 90th percentile of a long run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from edge_iqa.benchmarks.svg_plots import nice_ticks, svg_line, svg_text, svg_tick

_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 12, 8, 34
_HEIGHT = 170


@dataclass(frozen=True)
class Line:
    """One line: points of (seconds, value); ``style`` is a class of the style sheet."""

    label: str
    style: str
    points: Sequence[tuple[float, float]]


def time_chart(lines: Sequence[Line], unit: str, title: str, width: int) -> str:
    """Return a chart of lines over seconds; an empty text where there is no point.

    The value axis covers the values and is at least a twentieth of them wide, so that noise does not look like
    a change.
    """
    points = [point for line in lines for point in line.points]
    if not points:
        return ""
    end = max(max(time for time, _ in points), 1e-3)
    low, high = _span([value for _, value in points])
    plot_width, plot_height = width - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM

    def x_of(time: float) -> float:
        return _LEFT + time / end * plot_width

    def y_of(value: float) -> float:
        return _TOP + (high - value) / (high - low) * plot_height

    parts = [f'<svg viewBox="0 0 {width} {_HEIGHT}" role="img" aria-label="{escape(title)}">']
    for tick in nice_ticks(high - low, 4, low):
        y = y_of(tick)
        parts.append(svg_line("grid", _LEFT, y, width - _RIGHT, y))
        parts.append(svg_text(_LEFT - 5, y + 4, f"{tick:g}", "tick", "end"))
    for tick in nice_ticks(end, max(3, width // 130)):
        parts.append(svg_tick(x_of(tick), _HEIGHT - 18, f"{tick:g}", width))
    parts.append(svg_text(width - _RIGHT, _HEIGHT - 5, f"seconds, {unit}", "tick", "end"))
    for line in lines:
        parts += _drawn(line, [(x_of(time), y_of(value)) for time, value in sorted(line.points)])
    return "".join(parts) + "</svg>"


def _drawn(line: Line, places: Sequence[tuple[float, float]]) -> list[str]:
    style = escape(line.style)
    if len(places) == 1:
        (x, y) = places[0]
        return [f'<circle class="point {style}" cx="{x:.1f}" cy="{y:.1f}" r="3"/>']
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    return [f'<polyline class="trace {style}" points="{path}"/>'] if places else []


def _span(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    least = max(abs(high) * 0.05, 1e-6)
    margin = max((least - (high - low)) / 2, (high - low) * 0.08)
    return low - margin, high + margin
