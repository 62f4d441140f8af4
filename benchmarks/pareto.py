"""The Pareto plot: agreement with people against latency, with the points marked that no other one beats.

    python -m edge_iqa.benchmarks.pareto points.jsonl -o pareto.svg [--title T]

A line of the input per point: ``{"name": "…", "srcc": 0.71, "p50_ms": 3.4}``, and optionally ``"series"``, which
names the kind of point and chooses its colour.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from edge_iqa.benchmarks.svg_plots import nice_ticks
from edge_iqa.errors import EdgeIqaError, InvalidInput
from edge_iqa.spec import from_document

_WIDTH, _HEIGHT = 760, 470
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 24, 44, 52
_COLOURS = ("#2563a8", "#b45309", "#3f7d3a", "#7b4a9e", "#6b7280")
_LABEL_WIDTH, _LABEL_HEIGHT = 7.0, 13.0
_STYLE = (
    "text { font: 12px system-ui, 'DejaVu Sans', sans-serif; fill: #1f2328; paint-order: stroke; stroke: #ffffff; "
    "stroke-width: 4px; } .title { font-size: 15px; font-weight: 600; } .soft { fill: #59636e; } "
    ".grid { stroke: #d9dee3; } .front { fill: none; stroke: #1f2328; stroke-width: 1.6; } "
    ".beaten { fill-opacity: .35; }"
)


@dataclass(frozen=True)
class Point:
    """One model: SROCC with human scores, and the median latency in milliseconds."""

    name: str
    srcc: float
    p50_ms: float
    series: str = ""


def read_points(path: Path) -> list[Point]:
    """Read a point per line; raises InvalidInput, with the line, for anything else."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{path} cannot be read", why=str(error)) from error
    points = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            document = json.loads(line)
        except ValueError as error:
            raise InvalidInput(f"{path}, line {number} is not JSON", why=str(error)) from error
        points.append(from_document(Point, document, f"{path.name}, line {number}"))
    if not points:
        raise InvalidInput(f"{path} holds no points")
    slow = next((point for point in points if not point.p50_ms > 0), None)
    if slow is not None:
        raise InvalidInput(f"{slow.name} has a latency of {slow.p50_ms} ms", why="a latency is above 0")
    return points


def pareto_front(points: Sequence[Point]) -> list[Point]:
    """Return the points that no other one beats, fastest first.

    A point beats another if it is at least as fast and agrees at least as well, and is better in one of them.
    """

    def beaten(point: Point) -> bool:
        return any(
            other.p50_ms <= point.p50_ms
            and other.srcc >= point.srcc
            and (other.p50_ms < point.p50_ms or other.srcc > point.srcc)
            for other in points
        )

    return sorted((point for point in points if not beaten(point)), key=lambda point: (point.p50_ms, point.name))


def pareto_svg(points: Sequence[Point], title: str = "") -> str:
    """Return the plot as a whole SVG file: latency to the right, SROCC upwards, the front as a staircase."""
    right = max(point.p50_ms for point in points) * 1.12
    low, high = min(point.srcc for point in points), max(point.srcc for point in points)
    margin = max((high - low) * 0.12, 0.01)
    low, high = low - margin, high + margin
    plot_width, plot_height = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM

    def place(p50_ms: float, srcc: float) -> tuple[float, float]:
        return _LEFT + p50_ms / right * plot_width, _TOP + (high - srcc) / (high - low) * plot_height

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{_HEIGHT}" '
        f'viewBox="0 0 {_WIDTH} {_HEIGHT}">',
        f"<style>{_STYLE}</style>",
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#ffffff"/>',
        _text(_LEFT, 24, title or "Agreement with people against latency", "title", "start"),
    ]
    for tick in nice_ticks(right, 7):
        x, _ = place(tick, low)
        parts.append(_line("grid", x, _TOP, x, _TOP + plot_height))
        parts.append(_text(x, _TOP + plot_height + 18, f"{tick:g}", "soft", "middle"))
    for tick in nice_ticks(high - low, 6, low):
        _, y = place(0.0, tick)
        parts.append(_line("grid", _LEFT, y, _LEFT + plot_width, y))
        parts.append(_text(_LEFT - 8, y + 4, f"{tick:g}", "soft", "end"))
    parts.append(_text(_LEFT + plot_width / 2, _HEIGHT - 12, "median latency, ms", "soft", "middle"))
    parts.append(_text(_LEFT, _TOP - 6, "SROCC", "soft", "start"))
    front = pareto_front(points)
    parts.append(_staircase([place(point.p50_ms, point.srcc) for point in front], _LEFT + plot_width))
    parts += _dots(points, front, [place(point.p50_ms, point.srcc) for point in points])
    return "".join(parts) + "</svg>\n"


def _staircase(corners: Sequence[tuple[float, float]], right: float) -> str:
    path = f"M{corners[0][0]:.1f} {corners[0][1]:.1f}"
    for x, y in corners[1:]:
        path += f" H{x:.1f} V{y:.1f}"
    return f'<path class="front" d="{path} H{right:.1f}"/>'


def _dots(points: Sequence[Point], front: Sequence[Point], places: Sequence[tuple[float, float]]) -> list[str]:
    """Return circles and names; a name goes where it covers no other name or dot, as far as there is room."""
    series = list(dict.fromkeys(point.series for point in points))
    taken = [(x - 6, y - 6, x + 6, y + 6) for x, y in places]
    parts = []
    for point, (x, y) in zip(points, places, strict=True):
        colour = _COLOURS[series.index(point.series) % len(_COLOURS)]
        style = "" if point in front else ' class="beaten"'
        parts.append(f'<circle{style} cx="{x:.1f}" cy="{y:.1f}" r="5" fill="{colour}"/>')
        label_x, label_y, anchor, box = _free_place(x, y, len(point.name) * _LABEL_WIDTH, taken)
        taken.append(box)
        parts.append(_text(label_x, label_y, point.name, "" if point in front else "soft", anchor))
    named = [name for name in series if name]
    for row, name in enumerate(named):
        y = _HEIGHT - _BOTTOM - 12 - 18 * (len(named) - 1 - row)
        colour = _COLOURS[series.index(name) % len(_COLOURS)]
        parts.append(f'<circle cx="{_WIDTH - _RIGHT - 12:.1f}" cy="{y - 4:.1f}" r="5" fill="{colour}"/>')
        parts.append(_text(_WIDTH - _RIGHT - 24, y, name, "soft", "end"))
    return parts


Box = tuple[float, float, float, float]


def _free_place(x: float, y: float, width: float, taken: Sequence[Box]) -> tuple[float, float, str, Box]:
    """Return x, y, anchor and box of a label beside a dot; the first place that is free, else the first of all."""
    tries = []
    for down in (-9.0, 19.0, 4.0, -24.0, 34.0):
        for anchor, start in (("start", x + 9), ("end", x - 9 - width)):
            box = (start, y + down - _LABEL_HEIGHT + 3, start + width, y + down + 3)
            tries.append((x + 9 if anchor == "start" else x - 9, y + down, anchor, box))
    for candidate in tries:
        left, top, right, bottom = candidate[3]
        inside = left >= _LEFT and right <= _WIDTH - 4 and top >= _TOP - 4 and bottom <= _HEIGHT - _BOTTOM
        if inside and not any(_overlap(candidate[3], box) for box in taken):
            return candidate
    return tries[0]


def _overlap(first: Box, second: Box) -> bool:
    return first[0] < second[2] and first[2] > second[0] and first[1] < second[3] and first[3] > second[1]


def _line(style: str, x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line class="{style}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _text(x: float, y: float, text: str, style: str, anchor: str) -> str:
    return f'<text class="{style}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def main() -> None:
    parser = argparse.ArgumentParser(description="Draw SROCC against latency, with the Pareto front.")
    parser.add_argument("points", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--title", default="")
    options = parser.parse_args()
    try:
        points = read_points(options.points)
    except EdgeIqaError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
    options.output.write_text(pareto_svg(points, options.title), encoding="utf-8")
    print("on the front: " + ", ".join(point.name for point in pareto_front(points)))


if __name__ == "__main__":
    main()
