"""How near each target comes to the hardware's limit, and estimates for devices that were not measured, apart."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from edge_iqa.benchmarks.report_table import number
from edge_iqa.benchmarks.results import Estimate, Row
from edge_iqa.benchmarks.svg_bars import Bar, bar_chart

_WIDTHS = (("wide", 960), ("narrow", 360))
_ESTIMATE_HEAD = ("device", "precision", "limit ms", "target", "set by arithmetic", "power mode", "basis")


def roofline_section(rows: Sequence[Row]) -> str:
    """Return the section on measured inference against the roofline; an empty text where no limit is known."""
    bars = [_bar(row, row.stages_ms.infer) for row in rows if row.roofline.limit_ms is not None and row.stages_ms]
    if not bars:
        return ""
    profile = next(row.roofline.profile for row in rows if row.roofline.limit_ms is not None)
    title = "Measured inference and the hardware's limit in milliseconds"
    charts = "".join(f'<div class="{kind}">{bar_chart(bars, " ms", title, width)}</div>' for kind, width in _WIDTHS)
    return (
        f"<section><h2>Roofline</h2><p>Bars are the median inference as measured, the line is the least time that "
        f"the hardware allows by its peak rates (profile {escape(profile or 'not named')}).</p>{charts}</section>\n"
    )


def estimates_section(estimates: Sequence[Estimate]) -> str:
    """Return the section of estimates, each line marked; an empty text where there are none."""
    if not estimates:
        return ""
    titles = "".join(f"<th>{name}</th>" for name in ("", *_ESTIMATE_HEAD))
    lines = "".join(
        f'<tr><th><span class="chip estimate">{escape(entry.mark)}</span></th>'
        f"{''.join(f'<td>{escape(cell)}</td>' for cell in _cells(entry))}</tr>"
        for entry in estimates
    )
    return (
        '<section class="apart"><h2>Estimates: nothing here was measured</h2><p>The time of the layers at a '
        "device's peak rates, their data moved once. Runtimes take longer; a row for a device is only ever measured "
        f'on it.</p><div class="scroll"><table><thead><tr>{titles}</tr></thead><tbody>{lines}</tbody></table></div>'
        "</section>\n"
    )


def _bar(row: Row, infer_ms: float) -> Bar:
    limit, share = row.roofline.limit_ms, row.roofline.share
    reached = "" if share is None else f", {share:.0%} of the limit's speed"
    note = f"{number(infer_ms)} ms, limit {number(limit)} ms{reached}"
    return Bar(row.label, row.precision if row.precision in ("fp32", "int8") else "fp32", infer_ms, limit, note)


def _cells(entry: Estimate) -> list[str]:
    bound = "-" if entry.compute_bound is None else f"{entry.compute_bound:.0%}"
    limit = number(entry.limit_ms)
    return [entry.title, entry.precision, limit, entry.target, bound, entry.power_mode or "-", entry.basis]
