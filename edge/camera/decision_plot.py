"""A picture of a run as SVG: score and threshold over time, and below them what was kept or dropped, and why."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape

from edge_iqa.benchmarks.svg_plots import nice_ticks, svg_tick
from edge_iqa.camera.policy import KEEP_REASONS, Decision

YOf = Callable[[float], float]
_WIDTH, _LEFT, _RIGHT, _TOP = 960, 150, 14, 34
_PLOT_HEIGHT, _ROW_HEIGHT = 220, 20
_MAX_DOTS = 2000
_STYLE = """
svg{--ink:#1d2733;--soft:#66727f;--grid:#e3e7eb;--paper:#fff;--keep:#0b7a63;--drop:#c2410c;--line:#2563eb;
background:var(--paper);font:12px system-ui,sans-serif}
@media (prefers-color-scheme:dark){svg{--ink:#e6ebf0;--soft:#98a4b0;--grid:#2b343d;--paper:#12181e;--keep:#3fc7a4;
--drop:#fb8c4e;--line:#7aa5ff}}
text{fill:var(--soft)}.title{fill:var(--ink);font-weight:600;font-size:14px}.grid{stroke:var(--grid)}
.score{fill:none;stroke:var(--soft);stroke-opacity:.55}.threshold{fill:none;stroke:var(--line);stroke-width:1.5}
.keep{fill:var(--keep);stroke:var(--keep)}.drop{fill:var(--drop);stroke:var(--drop)}
circle{stroke:none}.end{text-anchor:end}
"""


def decision_plot(decisions: Sequence[Decision], title: str) -> str:
    """Return an SVG document, light or dark as the reader's system is; ``decisions`` as a replay gives them.

    Up to 2000 frames each is a dot; beyond, each column of the picture shows the range of its scores. Rows below
    hold a mark where at least one frame had that reason.
    """
    frames = sorted(decisions, key=lambda decision: decision.frame)
    times = _monotone([decision.time_s for decision in frames])
    start, span = (times[0], max(times[-1] - times[0], 1e-3)) if times else (0.0, 1.0)
    scale = (_WIDTH - _LEFT - _RIGHT) / span
    xs = [_LEFT + (time_s - start) * scale for time_s in times]
    low, high = _score_range(frames)

    def y_of(value: float) -> float:
        return _TOP + (high - min(max(value, low), high)) / (high - low) * _PLOT_HEIGHT

    reasons = sorted({item.reason for item in frames}, key=lambda reason: (reason not in KEEP_REASONS, reason))
    bottom = _TOP + _PLOT_HEIGHT
    height = bottom + 34 + _ROW_HEIGHT * len(reasons)
    kept = sum(item.keep for item in frames)
    headline = f"{title}: {kept} of {len(frames)} frames kept"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img" '
        f'aria-label="{escape(headline)}"><style>{_STYLE}</style>',
        f'<text class="title" x="{_LEFT}" y="20">{escape(headline)}</text>',
    ]
    for tick in nice_ticks(high - low, 5, low):
        parts.append(f'<path class="grid" d="M{_LEFT} {y_of(tick):.1f}H{_WIDTH - _RIGHT}"/>')
        parts.append(f'<text class="end" x="{_LEFT - 6}" y="{y_of(tick) + 4:.1f}">{tick:g}</text>')
    parts.append(f'<text class="end" x="{_LEFT - 40}" y="{_TOP + _PLOT_HEIGHT / 2:.0f}">score</text>')
    for tick in nice_ticks(span, 8):
        x = _LEFT + tick * scale
        parts.append(f'<path class="grid" d="M{x:.1f} {_TOP}V{bottom}"/>')
        parts.append(svg_tick(x, bottom + 16, f"{tick:g} s", _WIDTH))
    parts += _trace(frames, xs, y_of)
    parts.append(f'<path class="threshold" d="{_threshold_path(frames, xs, y_of)}"/>')
    for row, reason in enumerate(reasons):
        parts += _row(reason, frames, xs, bottom + 28 + row * _ROW_HEIGHT)
    return "\n".join(parts) + "\n</svg>\n"


def _trace(frames: Sequence[Decision], xs: Sequence[float], y_of: YOf) -> list[str]:
    scored = [(x, item.score, item.keep) for x, item in zip(xs, frames, strict=True) if item.score is not None]
    if len(scored) > _MAX_DOTS:
        columns: dict[int, list[float]] = {}
        for x, score, _ in scored:
            columns.setdefault(round(x), []).append(score)
        path = "".join(
            f"M{x} {y_of(max(scores)):.1f}V{y_of(min(scores)) + 0.5:.1f}" for x, scores in sorted(columns.items())
        )
        return [f'<path class="score" d="{path}"/>']
    line = " ".join(f"{x:.1f},{y_of(score):.1f}" for x, score, _ in scored)
    dots = [
        f'<circle class="{"keep" if keep else "drop"}" cx="{x:.1f}" cy="{y_of(score):.1f}" r="{2.4 if keep else 1.6}"/>'
        for x, score, keep in scored
    ]
    return [f'<polyline class="score" points="{line}"/>', *dots]


def _threshold_path(frames: Sequence[Decision], xs: Sequence[float], y_of: YOf) -> str:
    steps: list[str] = []
    last_column, last_y = -1, ""
    for x, item in zip(xs, frames, strict=True):
        if item.threshold is None:
            continue
        y = f"{y_of(item.threshold):.1f}"
        if not steps:
            steps.append(f"M{x:.1f} {y}")
        elif y != last_y and round(x) != last_column:
            steps.append(f"H{x:.1f}V{y}")
        else:
            continue
        last_column, last_y = round(x), y
    return "".join(steps) + (f"H{xs[-1]:.1f}" if steps else "")


def _row(reason: str, frames: Sequence[Decision], xs: Sequence[float], top: float) -> list[str]:
    style = "keep" if reason in KEEP_REASONS else "drop"
    marks = sorted({round(x) for x, item in zip(xs, frames, strict=True) if item.reason == reason})
    count = sum(item.reason == reason for item in frames)
    path = "".join(f"M{x} {top + 2:.0f}v{_ROW_HEIGHT - 6}" for x in marks)
    label = escape(f"{reason} {count}")
    return [
        f'<text class="end" x="{_LEFT - 6}" y="{top + 13:.0f}">{label}</text>',
        f'<path class="{style}" d="{path}"/>',
    ]


def _monotone(times: Sequence[float]) -> list[float]:
    """Let a clock that jumped back stand still, as the policy does."""
    elapsed, result = 0.0, []
    for index, time_s in enumerate(times):
        elapsed += max(0.0, time_s - times[index - 1]) if index else 0.0
        result.append(elapsed)
    return result


def _score_range(frames: Sequence[Decision]) -> tuple[float, float]:
    values = [value for item in frames for value in (item.score, item.threshold) if value is not None]
    if not values:
        return 0.0, 1.0
    margin = max((max(values) - min(values)) * 0.06, 0.02)
    return min(values) - margin, max(values) + margin
