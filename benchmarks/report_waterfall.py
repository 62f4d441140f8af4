"""The waterfall for people: a chart and a table for the page, lines for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from edge_iqa.benchmarks.drift import Drift
from edge_iqa.benchmarks.svg_bars import Bar, bar_chart
from edge_iqa.benchmarks.waterfall import WaterfallStep

HEAD = ("step", "compared with", "SROCC", "MAE", "max", "flips", "restoring threshold", "levels", "SROCC with people")
_WIDE, _NARROW = 960, 360


def waterfall_section(steps: Sequence[WaterfallStep]) -> str:
    """Return the section of the page; an empty text where there are no steps."""
    if not steps:
        return ""
    bars = [_bar(step) for step in steps if step.drift is not None]
    chart = ""
    if bars:
        title = "Mean and largest change of the score at each step"
        chart = "".join(
            f'<div class="{kind}">{bar_chart(bars, "", title, width)}</div>'
            for kind, width in (("wide", _WIDE), ("narrow", _NARROW))
        )
    return (
        "<section><h2>Where the score changes</h2><p>The same pictures through every step. Bars are the mean "
        "difference from the step it is compared with, the line is the largest. A flip is keep and drop exchanged "
        "at your threshold; the restoring threshold keeps as many pictures as before.</p>"
        f"{chart}{_table(steps)}{_not_run(steps)}</section>\n"
    )


def waterfall_lines(steps: Sequence[WaterfallStep]) -> list[str]:
    """Return the steps as lines for a terminal: those that were run, then the others with the reason."""
    done = [step for step in steps if step.not_run is None]
    if not any(step.drift is not None for step in done):
        return []
    lines = ["where the score changes (same pictures, step by step):"]
    for step in done:
        cells = waterfall_cells(step)
        if step.drift is None:
            people = f": SROCC with people {cells[8]}" if step.human is not None else ""
            lines.append(f"  {step.step}, the first{people}")
            continue
        people = f", SROCC with people {cells[8]}" if step.human is not None else ""
        lines.append(
            f"  {step.step} after {step.against}: SROCC {cells[2]}, MAE {cells[3]}, max {cells[4]}, flips {cells[5]}"
            f"{_restoring(step.drift)}{people}"
        )
    return lines + [f"  {step.step}: not run ({step.not_run})" for step in steps if step.not_run is not None]


def waterfall_cells(step: WaterfallStep) -> list[str]:
    """Return the cells of one step under HEAD; a dash for what there is not."""
    drift, human = step.drift, step.human
    people = "-" if human is None or human.srcc is None else f"{human.srcc:.4f} ({human.n})"
    if drift is None:
        return [step.title, "-", "-", "-", "-", "-", "-", "-", people]
    restored = "-" if drift.restoring_threshold is None else f"{drift.restoring_threshold:.4f}"
    return [
        step.title,
        step.against or "-",
        "-" if drift.srcc is None else f"{drift.srcc:.4f}",
        f"{drift.mae:.4f}",
        f"{drift.max_abs:.4f}",
        f"{drift.flips}/{drift.n}",
        restored,
        str(drift.distinct_levels),
        people,
    ]


def _restoring(drift: Drift | None) -> str:
    if drift is None or drift.flips == 0 or drift.restoring_threshold in (None, drift.threshold):
        return ""
    return f"; threshold {drift.restoring_threshold:.4f} restores the keep rate ({drift.flips_restored} flips left)"


def _bar(step: WaterfallStep) -> Bar:
    drift = step.drift
    assert drift is not None
    style = "int8" if "int8" in step.step or step.step in ("qdq", "fake_quant") else "fp32"
    note = f"{drift.mae:.4f}, max {drift.max_abs:.4f}, {drift.flips} flips"
    return Bar(step.step.removeprefix("target:"), style, drift.mae, drift.max_abs, note)


def _table(steps: Sequence[WaterfallStep]) -> str:
    titles = "".join(f"<th>{name}</th>" for name in HEAD)
    lines = "".join(_rows(steps))
    return f'<div class="scroll steps"><table><thead><tr>{titles}</tr></thead><tbody>{lines}</tbody></table></div>'


def _rows(steps: Sequence[WaterfallStep]) -> Iterator[str]:
    for step in steps:
        if step.not_run is None:
            first, *others = waterfall_cells(step)
            stored = ' <span class="soft">(from the bundle)</span>' if step.source == "bundle" else ""
            yield f"<tr><th>{escape(first)}{stored}</th>{''.join(f'<td>{escape(cell)}</td>' for cell in others)}</tr>"


def _not_run(steps: Sequence[WaterfallStep]) -> str:
    missing = [f"<li>{escape(step.title)}: {escape(step.not_run)}</li>" for step in steps if step.not_run is not None]
    return f"<h3>Not run here</h3><ul class='plain'>{''.join(missing)}</ul>" if missing else ""
