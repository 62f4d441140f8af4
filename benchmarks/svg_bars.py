"""Horizontal bars as SVG: what each step of the waterfall changed, and how near a target comes to its limit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from edge_iqa.benchmarks.svg_plots import nice_ticks, svg_line, svg_text, svg_tick

_MARGIN, _BAR_HEIGHT, _AXIS = 14, 44, 26


@dataclass(frozen=True)
class Bar:
    """One bar from 0 to ``value`` with a mark at ``mark``; ``note`` stands at its right end."""

    label: str
    style: str
    value: float
    mark: float | None
    note: str


def bar_chart(bars: Sequence[Bar], unit: str, title: str, width: int) -> str:
    """Return the bars on one axis that starts at 0; an empty text where there is none."""
    if not bars:
        return ""
    end = max(max(bar.value, bar.mark or 0.0) for bar in bars) * 1.04 or 1.0
    scale = (width - 2 * _MARGIN) / end
    height = _BAR_HEIGHT * len(bars) + _AXIS
    parts = [f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(title)}">']
    ticks = nice_ticks(end, max(3, width // 130))
    for tick in ticks:
        x = _MARGIN + tick * scale
        parts.append(svg_line("grid", x, 0, x, height - _AXIS + 6))
        parts.append(svg_tick(x, height - 5, f"{tick:g}{unit if tick == ticks[-1] else ''}", width))
    for index, bar in enumerate(bars):
        top = index * _BAR_HEIGHT
        wide = max(bar.value * scale, 1.0)
        parts.append(svg_text(_MARGIN, top + 16, _cut(bar.label, bar.note, width), "label", "start"))
        parts.append(svg_text(width - _MARGIN, top + 16, bar.note, "tick", "end"))
        style = escape(bar.style)
        parts.append(f'<rect class="bar {style}" x="{_MARGIN}" y="{top + 23}" width="{wide:.1f}" height="14" rx="2"/>')
        if bar.mark is not None:
            x = _MARGIN + bar.mark * scale
            parts.append(svg_line(f"mark {style}", x, top + 20, x, top + 40))
    return "".join(parts) + "</svg>"


def _cut(label: str, note: str, width: int) -> str:
    """Return the label, cut where it would run into the note; letters are about 7 and 6 pixels wide."""
    room = max(8, int((width - 2 * _MARGIN - 6.2 * len(note) - 10) / 7.2))
    return label if len(label) <= room else f"{label[: room - 1]}…"
