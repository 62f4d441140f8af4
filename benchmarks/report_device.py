"""What the machine did during the run, for the page: clocks, heat, power, and the latency of a sustained run."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from edge_iqa.benchmarks.results import Row
from edge_iqa.benchmarks.svg_lines import Line, time_chart

_WIDTHS = (("wide", 960), ("narrow", 360))
_TRACES = (
    ("cpu_mhz", "CPU clock", "MHz"),
    ("gpu_mhz", "GPU clock", "MHz"),
    ("temperature_c", "Temperature", "degrees C"),
    ("power_w", "Power", "watts"),
    ("fan_percent", "Fan", "percent"),
)
_STYLES = 6  # classes line0 .. line5


def device_section(rows: Sequence[Row]) -> str:
    """Return the section on clocks, heat and power over the whole run."""
    charts = ""
    for field, title, unit in _TRACES:
        points = sorted(
            (point.time_s, value)
            for row in rows
            for point in row.device_state.trace
            if (value := getattr(point, field)) is not None
        )
        charts += _both_widths([Line(title, "line0", points)], unit, title, f"<h3>{title}</h3>")
    if not charts:
        text = "This system told nothing of clocks, heat or power, so throttling could not be noticed."
        return f"<section><h2>Clocks and heat</h2><p>{text}</p></section>\n"
    return (
        "<section><h2>Clocks and heat</h2><p>One reading a second while targets were timed, in turns.</p>"
        f"{_notes(rows)}{charts}</section>\n"
    )


def sustained_section(rows: Sequence[Row]) -> str:
    """Return the section on a long run without a pause; an empty text where there was none."""
    lines: list[Line] = []
    labels: list[str] = []
    for row in rows:
        if row.sustained is None:
            continue
        middle = row.sustained.interval_s / 2
        points = [(part.start_s + middle, part.p90_ms) for part in row.sustained.intervals if part.p90_ms is not None]
        style = f"line{len(lines) % _STYLES}"
        lines.append(Line(row.label, style, points))
        change = "" if row.sustained.p90_change is None else f" ({row.sustained.p90_change:+.1%} at the end)"
        labels.append(f'<span class="key {style}"></span>{escape(row.label)}{change}')
    chart = _both_widths(lines, "ms", "90th percentile of the latency over time", "")
    if not chart:
        return ""
    return (
        "<section><h2>Sustained</h2><p>90th percentile of the latency in each part of a run without a pause.</p>"
        f'<p class="keys">{" ".join(labels)}</p>{chart}</section>\n'
    )


def _both_widths(lines: Sequence[Line], unit: str, title: str, heading: str) -> str:
    drawn = [
        f'<div class="{kind}">{chart}</div>'
        for kind, width in _WIDTHS
        if (chart := time_chart(lines, unit, title, width))
    ]
    return heading + "".join(drawn) if drawn else ""


def _notes(rows: Sequence[Row]) -> str:
    found = [
        f"<li>{escape(row.label)}: {escape(reason)}</li>"
        for row in rows
        for reason in row.device_state.throttle_reasons
    ]
    return f"<ul class='plain'>{''.join(found)}</ul>" if found else ""
