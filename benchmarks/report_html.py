"""A benchmark's result as one HTML file: no script, nothing fetched, light and dark, any width."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape

from edge_iqa.benchmarks.drift import Drift, flipped
from edge_iqa.benchmarks.report_device import device_section, sustained_section
from edge_iqa.benchmarks.report_files import json_document
from edge_iqa.benchmarks.report_limits import estimates_section, roofline_section
from edge_iqa.benchmarks.report_style import STYLE
from edge_iqa.benchmarks.report_table import number
from edge_iqa.benchmarks.report_waterfall import waterfall_section
from edge_iqa.benchmarks.results import BenchResult, Row
from edge_iqa.benchmarks.svg_plots import Strip, latency_strips, score_scatter

_WIDE, _NARROW = 960, 360
_MAX_FLIPS = 30
_TIMES_HEAD = (
    "target",
    "verdict",
    "n",
    "p50",
    "p90",
    "p95",
    "p99",
    "decode",
    "resize",
    "infer",
    "post",
    "end to end",
)
_COSTS_HEAD = (
    "target",
    "load ms",
    "first ms",
    "RSS MB",
    "model MB",
    "SROCC",
    "PLCC",
    "MAE",
    "max",
    "flips",
    "levels",
    "CPU MHz",
    "deg C",
)


def html_text(result: BenchResult, previews: Mapping[int, bytes] | None = None) -> str:
    """Return the page; ``previews`` are small JPEGs of flipped pictures by position (``flips.thumbnails``)."""
    title = escape(f"edge-iqa bench: {result.bundle.name} on {result.settings.device}")
    name = escape(result.bundle.name)
    subject = f"on {escape(result.settings.device)}" if result.rows else "estimates"
    rows = result.rows
    body = [
        _verdicts(rows),
        _latency(rows),
        sustained_section(rows),
        _drift(result, previews or {}),
        waterfall_section(result.waterfall),
        device_section(rows) if rows else "",
        roofline_section(rows),
        _tables(rows),
        estimates_section(result.estimates),
        _facts(result),
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{STYLE}</style></head>\n<body><main>"
        f'<h1>{name} <small>{subject}</small></h1><p class="lead">{escape(_lead(result))}</p>\n'
        f"{''.join(body)}</main></body></html>\n"
    )


def _lead(result: BenchResult) -> str:
    machine = result.host.board or result.host.cpu_model or result.host.architecture
    day, time = result.created_utc[:10], result.created_utc[11:16]
    settings = result.settings
    threads = f"{settings.threads} thread{'' if settings.threads == 1 else 's'}"
    if not result.rows:
        return f"Estimates only, {day} {time} UTC"
    where = "" if result.remote is None else f"{result.remote.name}: "
    pictures = f"{result.images.n} pictures"
    return f"{where}{machine}, {threads}, mode {settings.plan.mode}, {pictures}, {day} {time} UTC"


def _verdicts(rows: Sequence[Row]) -> str:
    cards = []
    if not rows:
        return ""
    for row in rows:
        reasons = "".join(f"<li>{_prose(reason)}</li>" for reason in row.reasons)
        time = "" if row.latency_ms.p50 is None else f"<b>{number(row.latency_ms.p50)}</b> ms median"
        p90 = "" if row.latency_ms.p90 is None else f", p90 {number(row.latency_ms.p90)} ms"
        cards.append(
            f"<article><header><span>{escape(row.label)}</span>{_chip(row.verdict)}</header>"
            f'<p class="time">{time}{p90}</p>'
            f'{f"<ul>{reasons}</ul>" if reasons else ""}<p class="advice">{_prose(row.advice)}</p></article>'
        )
    return f'<section><h2>Verdicts</h2><div class="cards">{"".join(cards)}</div></section>\n'


def _latency(rows: Sequence[Row]) -> str:
    strips = [Strip(row.label, row.precision, row.samples_ms) for row in rows]
    if not any(strip.samples_ms for strip in strips):
        return ""
    return (
        "<section><h2>Latency</h2><p>From a decoded picture to its score. Dots are samples, the box holds "
        "the middle half, the long line is the median, the short one the 90th percentile.</p>"
        f'<div class="wide">{latency_strips(strips, _WIDE)}</div>'
        f'<div class="narrow">{latency_strips(strips, _NARROW)}</div></section>\n'
    )


def _drift(result: BenchResult, previews: Mapping[int, bytes]) -> str:
    compared = [row for row in result.rows if row.drift is not None]
    if not compared or compared[0].drift is None:
        return ""
    reference, threshold = compared[0].drift.reference, compared[0].drift.threshold
    figures = "".join(_drift_figure(row, result, previews) for row in compared)
    return (
        f"<section><h2>Score drift</h2><p>Each dot is a picture: its score here against {escape(reference)}. "
        f"Dashed lines: the threshold {threshold:.4f}. Where keep and drop are exchanged, the dot is a ring."
        f'</p><div class="plots">{figures}</div></section>\n'
    )


def _drift_figure(row: Row, result: BenchResult, previews: Mapping[int, bytes]) -> str:
    drift = row.drift
    if drift is None:
        return ""
    srcc = "not defined" if drift.srcc is None else f"{drift.srcc:.4f}"
    plot = score_scatter(result.reference_scores, row.scores, drift.threshold, row.label)
    flips = flipped(result.reference_scores, row.scores, drift.threshold)
    exchanged = [
        f"<li>{_preview(position, previews)}{escape(name)}: {expected:.4f} to {found:.4f}</li>"
        for position, (name, expected, found, flip) in enumerate(
            zip(result.images.names, result.reference_scores, row.scores, flips, strict=True)
        )
        if flip
    ]
    details = ""
    if exchanged:
        listed = "".join(exchanged[:_MAX_FLIPS])
        if len(exchanged) > _MAX_FLIPS:
            listed += f"<li>{len(exchanged) - _MAX_FLIPS} more, see the scores in the JSON</li>"
        details = f"<details><summary>Which pictures flip</summary><ul class='flips'>{listed}</ul></details>"
    return (
        f"<figure><figcaption><b>{escape(row.label)}</b><br>SROCC {srcc}, "
        f"largest difference {drift.max_abs:.4f}, {drift.flips} of {drift.n} flip{_restoring(drift)}</figcaption>"
        f"{plot}{details}</figure>"
    )


def _restoring(drift: Drift) -> str:
    if drift.flips == 0 or drift.restoring_threshold in (None, drift.threshold):
        return ""
    return f"; threshold {drift.restoring_threshold:.4f} restores the keep rate here"


def _preview(position: int, previews: Mapping[int, bytes]) -> str:
    if position not in previews:
        return ""
    data = base64.b64encode(previews[position]).decode("ascii")
    return f'<img alt="" src="data:image/jpeg;base64,{data}"> '


def _tables(rows: Sequence[Row]) -> str:
    if not rows:
        return ""
    return (
        "<section><h2>All numbers</h2><p>Latency and its stages in milliseconds. A percentile is left out "
        "where MLPerf's early-stopping rule asks for more samples.</p>"
        f"{_table(_TIMES_HEAD, rows, _time_cells)}{_table(_COSTS_HEAD, rows, _cost_cells)}</section>\n"
    )


def _table(head: Sequence[str], rows: Sequence[Row], cells_of: Callable[[Row], Iterable[str]]) -> str:
    titles = "".join(f'<th class="left">{name}</th>' if name == "verdict" else f"<th>{name}</th>" for name in head)
    lines = [
        f"<tr><th>{escape(row.label)}</th>{''.join(f'<td>{cell}</td>' for cell in cells_of(row))}</tr>" for row in rows
    ]
    return f'<div class="scroll"><table><thead><tr>{titles}</tr></thead><tbody>{"".join(lines)}</tbody></table></div>'


def _time_cells(row: Row) -> Iterable[str]:
    latency, stages = row.latency_ms, row.stages_ms
    yield _chip(row.verdict)
    yield str(latency.n)
    yield from map(number, (latency.p50, latency.p90, latency.p95, latency.p99))
    if stages is None:
        yield from ["-"] * 5
    else:
        yield from map(number, (stages.decode, stages.resize, stages.infer, stages.post, stages.end_to_end))


def _cost_cells(row: Row) -> Iterable[str]:
    cold, drift = row.cold_ms, row.drift
    yield from map(number, (None, None) if cold is None else (cold.load, cold.first))
    yield number(row.peak_rss_mb)
    yield "-" if row.size_bytes is None else f"{row.size_bytes / 1e6:.2f}"
    if drift is None:
        yield from ["-"] * 6
    else:
        yield from ("-" if value is None else f"{value:.4f}" for value in (drift.srcc, drift.plcc))
        yield from (f"{drift.mae:.4f}", f"{drift.max_abs:.4f}")
        yield from (f"{drift.flips}/{drift.n}", str(drift.distinct_levels))
    state = row.device_state
    yield _span(state.cpu_mhz_min, state.cpu_mhz_max)
    yield _span(state.temperature_c_start, state.temperature_c_end)


def _span(first: float | None, last: float | None) -> str:
    if first is None or last is None:
        return "-"
    return f"{first:.0f}" if round(first) == round(last) else f"{first:.0f} to {last:.0f}"


def _facts(result: BenchResult) -> str:
    document = json_document(result)
    groups = {"Bundle": document["bundle"], "Tool": document["tool"]}
    if result.rows:
        groups = {
            "Machine": document["host"],
            "Bundle": document["bundle"],
            "Pictures": {key: value for key, value in document["images"].items() if key != "names"},
            "Sampling": document["settings"]["plan"],
            "Runtimes": {row.runtime: row.runtime_version for row in result.rows},
            "Tool": document["tool"],
        }
    if document["remote"] is not None:
        groups["Over ssh"] = document["remote"]
    blocks = []
    for name, facts in groups.items():
        entries = "".join(
            f"<dt>{escape(key.replace('_', ' '))}</dt><dd>{escape(_fact(value))}</dd>" for key, value in facts.items()
        )
        blocks.append(f"<div><h3>{name}</h3><dl>{entries}</dl></div>")
    return f'<section><h2>Where this comes from</h2><div class="facts">{"".join(blocks)}</div></section>\n'


def _fact(value: object) -> str:
    if value is None or value == []:
        return "not known"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(str(entry) for entry in value) if isinstance(value, list) else str(value)


def _chip(verdict: str) -> str:
    return f'<span class="chip {verdict.lower()}">{escape(verdict.replace("_", " "))}</span>'


def _prose(text: str) -> str:
    """Return escaped text in which a command's options do not break at their hyphens."""
    return re.sub(r"(?<![\w-])(--[a-z0-9-]+)", r"<code>\1</code>", escape(text))
