"""Plots as SVG text: latency strips and score scatters. Colours come from the style sheet of the page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from edge_iqa.benchmarks.drift import flipped

_MAX_DOTS = 160
_STRIP_HEIGHT = 58
_MARGIN = 14
_LETTER_WIDTH = 7
_LABEL_LETTER_WIDTH = 9


@dataclass(frozen=True)
class Strip:
    """One line of the latency plot: a label, a style class (the precision), and samples in milliseconds."""

    label: str
    style: str
    samples_ms: Sequence[float]


def latency_strips(strips: Sequence[Strip], width: int) -> str:
    """Return one axis in ms from 0, and per strip its samples as dots, the middle half as a box, p50 and p90.

    The axis ends where nearly all samples lie; how many lie beyond is written at the end of the strip.
    """
    filled = [strip for strip in strips if strip.samples_ms]
    if not filled:
        return ""
    end = max(float(np.percentile(strip.samples_ms, 99)) for strip in filled) * 1.04
    ticks = nice_ticks(end, max(4, width // 110))
    scale = (width - 2 * _MARGIN) / end
    height = _STRIP_HEIGHT * len(filled) + 26
    parts = [f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="Latency of each target in milliseconds">']
    for tick in ticks:
        x = _MARGIN + tick * scale
        parts.append(f'<line class="grid" x1="{x:.1f}" y1="0" x2="{x:.1f}" y2="{height - 20}"/>')
        unit = " ms" if tick == ticks[-1] else ""
        parts.append(svg_tick(x, height - 5, f"{tick:g}{unit}", width))
    for index, strip in enumerate(filled):
        parts += _strip(strip, index * _STRIP_HEIGHT, end, scale, width)
    return "".join(parts) + "</svg>"


def score_scatter(reference: Sequence[float], scores: Sequence[float], threshold: float, label: str) -> str:
    """Return scores against the reference's, with the diagonal, the threshold, and flips marked."""
    size, left, bottom, edge = 300, 40, 34, 8
    both = [*reference, *scores]
    low, high = min(both), max(both)
    margin = max((high - low) * 0.05, 1e-3)
    low, high = low - margin, high + margin
    plot = size - left - edge

    def x_of(value: float) -> float:
        return left + (value - low) / (high - low) * plot

    def y_of(value: float) -> float:
        return size - bottom - (value - low) / (high - low) * (size - bottom - edge)

    title = escape(f"{label}: scores against the reference")
    parts = [f'<svg viewBox="0 0 {size} {size}" role="img" aria-label="{title}">']
    for tick in nice_ticks(high - low, 6, low):
        x, y = x_of(tick), y_of(tick)
        parts.append(f'<line class="grid" x1="{x:.1f}" y1="{edge}" x2="{x:.1f}" y2="{size - bottom}"/>')
        parts.append(f'<line class="grid" x1="{left}" y1="{y:.1f}" x2="{size - edge}" y2="{y:.1f}"/>')
        parts.append(svg_tick(x, size - bottom + 13, f"{tick:g}", size))
        parts.append(svg_text(left - 4, y + 4, f"{tick:g}", "tick", "end"))
    parts.append(svg_line("diagonal", x_of(low), y_of(low), x_of(high), y_of(high)))
    if low < threshold < high:
        parts.append(svg_line("threshold", x_of(threshold), edge, x_of(threshold), size - bottom))
        parts.append(svg_line("threshold", left, y_of(threshold), size - edge, y_of(threshold)))
    for expected, found, flip in zip(reference, scores, flipped(reference, scores, threshold), strict=True):
        style, radius = ("flip", 3.6) if flip else ("dot", 2.4)
        parts.append(f'<circle class="{style}" cx="{x_of(expected):.1f}" cy="{y_of(found):.1f}" r="{radius}"/>')
    parts.append(svg_text(left + plot / 2, size - 4, "reference score", "tick", "middle"))
    return "".join(parts) + "</svg>"


def nice_ticks(span: float, count: int, start: float = 0.0) -> list[float]:
    """Return about ``count`` round numbers in ``start`` .. ``start + span``."""
    raw = span / count
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * 0.999)
    first = math.ceil(start / step - 1e-9)
    last = math.floor((start + span) / step + 1e-9)
    return [round(index * step, 10) for index in range(first, last + 1)]


def _strip(strip: Strip, top: int, end: float, scale: float, width: int) -> list[str]:
    samples = np.asarray(strip.samples_ms)
    p25, p50, p75, p90 = (float(value) for value in np.percentile(samples, [25, 50, 75, 90]))
    middle = top + 38
    parts = [svg_text(_MARGIN, top + 17, strip.label, "label", "start")]
    summaries = [f"median {p50:.2f} ms"]
    beyond = int(np.count_nonzero(samples > end))
    if beyond:
        summaries += [f"{summaries[0]}, {beyond} beyond", f"{summaries[0]}, {beyond} beyond, up to {samples.max():.0f}"]
    room = width - 3 * _MARGIN - _LABEL_LETTER_WIDTH * len(strip.label)
    summary = max((text for text in summaries if _LETTER_WIDTH * len(text) <= room), key=len, default="")
    parts.append(svg_text(width - _MARGIN, top + 17, summary, "tick", "end"))
    shown = samples[np.linspace(0, len(samples) - 1, min(_MAX_DOTS, len(samples))).astype(int)]
    spread = np.random.default_rng(0).uniform(-9, 9, len(shown))
    for value, offset in zip(shown, spread, strict=True):
        if value <= end:
            x = _MARGIN + value * scale
            parts.append(f'<circle class="sample {strip.style}" cx="{x:.1f}" cy="{middle + offset:.1f}" r="2"/>')
    box_x, box_width = _MARGIN + p25 * scale, max((p75 - p25) * scale, 1.0)
    parts.append(
        f'<rect class="box {strip.style}" x="{box_x:.1f}" y="{middle - 11}" '
        f'width="{box_width:.1f}" height="22" rx="2"/>'
    )
    x50, x90 = _MARGIN + p50 * scale, _MARGIN + p90 * scale
    parts.append(svg_line(f"median {strip.style}", x50, middle - 13, x50, middle + 13))
    parts.append(svg_line(f"p90 {strip.style}", x90, middle - 9, x90, middle + 9))
    return parts


def svg_line(style: str, x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line class="{style}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def svg_text(x: float, y: float, text: str, style: str, anchor: str) -> str:
    return f'<text class="{style}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def svg_tick(x: float, y: float, text: str, width: int) -> str:
    """Return a label under its tick, moved to the side where it would leave a drawing of ``width`` pixels."""
    half = len(text) * _LETTER_WIDTH / 2
    return svg_text(min(max(x, half), width - half), y, text, "tick", "middle")
