"""The page in a real browser: desktop and phone, light and dark, nothing cut off, no error, pictures shown."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_iqa.benchmarks.device_state import TracePoint
from edge_iqa.benchmarks.flips import thumbnails
from edge_iqa.benchmarks.report_html import html_text
from edge_iqa.benchmarks.report_style import STYLE
from edge_iqa.benchmarks.results import BenchResult, Estimate, RemoteFacts, Roofline, Sustained, SustainedInterval
from edge_iqa.benchmarks.run import BenchOutcome
from edge_iqa.benchmarks.svg_bars import Bar, bar_chart
from edge_iqa.benchmarks.svg_lines import Line, time_chart
from edge_iqa.benchmarks.svg_plots import Strip, latency_strips, score_scatter
from edge_iqa.benchmarks.waterfall import SHARED_STAGES, Stage, build_waterfall

SIZES = {"desktop": (1280, 800), "phone": (375, 800)}
# The texts of drawings that leave them.
_CUT = """[...document.querySelectorAll("svg")].filter(e => e.clientWidth > 0).flatMap(svg => {
  const box = svg.getBoundingClientRect();
  return [...svg.querySelectorAll('text')].filter(t => {
    const own = t.getBoundingClientRect();
    return own.left < box.left - 1.5 || own.right > box.right + 1.5 || own.bottom > box.bottom + 1.5;
  }).map(t => t.textContent);
})"""


def full_result(result: BenchResult) -> BenchResult:
    """Return the result with everything a page can hold: flips, all stages, a long run, heat, limits, estimates."""
    first, second, *others = result.rows
    assert second.drift is not None
    threshold = second.drift.threshold
    scores = [
        min(max(score + 0.04 * math.sin(9 * index), 0.0), 1.0) for index, score in enumerate(result.reference_scores)
    ]
    drift = dataclasses.replace(second.drift, flips=3, srcc=0.97, restoring_threshold=threshold + 0.01)
    trace = [TracePoint(float(t), 1500.0 - t, 900.0, 45 + t / 5, 7 + t % 3, 40.0) for t in range(60)]
    parts = [SustainedInterval(20.0 * i, 90, 8.0, 9 + i / 4, 1500.0, 900.0, 60.0, 7.0) for i in range(12)]
    second = dataclasses.replace(
        second,
        scores=scores,
        drift=drift,
        verdict="THROTTLED",
        reasons=["THROTTLED: the clock fell by 12 % during the run", "DRIFT: SROCC 0.9700 is below 0.99"],
        device_state=dataclasses.replace(
            second.device_state, trace=trace, throttle_reasons=["heat rose by 16 degrees"]
        ),
        sustained=Sustained(240.0, 20.0, 0.31, parts),
        roofline=Roofline(0.4, 0.21, "x86-generic", 0.8),
    )
    estimate = Estimate(
        "ESTIMATE", "orin-nano", "NVIDIA Jetson Orin Nano 8GB", "jetson", "GPU", "int8", 0.31, 0.4, 10**9, "15W",
        "peak rates of the data sheet, sparsity not counted", "data sheet",
    )  # fmt: skip
    stages = [
        Stage(step, title, [score + 0.01 * index for score in result.reference_scores])
        for index, (step, title) in enumerate(SHARED_STAGES.items())
    ]
    stages += [Stage("target:onnxruntime int8", "onnxruntime int8 on this device", scores, after="qdq")]
    stages += [Stage("camera:decode", "camera path", not_run="no target could be measured")]
    return dataclasses.replace(
        result,
        rows=[first, second, *others],
        waterfall=build_waterfall(stages, threshold, {0: 1.0, 3: 3.0, 5: 2.0}),
        estimates=[estimate] * 3,
        remote=RemoteFacts("nano", "ab" * 32, 1),
    )


@pytest.fixture(scope="session")
def page_file(bench_outcome: BenchOutcome, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    result = full_result(bench_outcome.result)
    path.write_text(html_text(result, thumbnails(result, bench_outcome.pictures)), encoding="utf-8")
    return path


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_the_page_looks_right(size: str, scheme: str, page_file: Path, browser: Any, tmp_path: Path) -> None:
    width, height = SIZES[size]
    page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
    problems: list[str] = []
    page.on("console", lambda message: problems.append(message.text))
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("request", lambda request: request.url.startswith(("file:", "data:")) or problems.append(request.url))
    page.goto(page_file.as_uri())
    page.evaluate("document.querySelectorAll('details').forEach(entry => entry.open = true)")
    facts = json.loads(
        page.evaluate(
            """JSON.stringify({
              overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
              wide: [...document.querySelectorAll('.wide')].filter(e => e.offsetWidth > 0).length,
              narrow: [...document.querySelectorAll('.narrow')].filter(e => e.offsetWidth > 0).length,
              broken: [...document.images].filter(e => e.naturalWidth === 0).length,
              images: document.images.length,
              headings: [...document.querySelectorAll('h2')].map(e => e.textContent),
              page: getComputedStyle(document.body).backgroundColor,
            })"""
        )
    )
    cut = page.evaluate(_CUT)
    shot = tmp_path / f"{size}-{scheme}.png"
    page.screenshot(path=str(shot), full_page=True)
    page.close()
    assert problems == []
    assert facts["overflow"] == 0
    assert (facts["wide"] > 0, facts["narrow"] > 0) == (size == "desktop", size == "phone")
    assert facts["images"] > 0
    assert facts["broken"] == 0
    assert cut == []
    light = sum(map(int, facts["page"].removeprefix("rgb(").rstrip(")").split(","))) > 3 * 128
    assert light == (scheme == "light")
    assert {"Where the score changes", "Sustained", "Clocks and heat", "Roofline", "Score drift"} <= set(
        facts["headings"]
    )
    assert facts["headings"][-2].startswith("Estimates")
    assert shot.stat().st_size > 20_000


@pytest.mark.parametrize("width", [340, 720])
def test_no_label_of_an_axis_is_cut_wherever_the_axis_ends(width: int, browser: Any) -> None:
    drawings = []
    for end in np.geomspace(0.02, 4000, 120):
        samples = [end / 4, end / 2, end * 0.97, end]
        drawings += [
            latency_strips([Strip("onnxruntime int8", "int8", samples)], width),
            bar_chart([Bar("resize", "int8", end, None, f"{end:.3g} ms")], " ms", "limit", width),
            time_chart([Line("clock", "cpu", list(zip(samples, samples, strict=True)))], "MHz", "clock", width),
            score_scatter([0.1, end], [0.2, end], 0.15, "onnxruntime int8"),
        ]
    page = browser.new_page(viewport={"width": width, "height": 800})
    page.set_content(f"<style>{STYLE}</style>" + "".join(f'<div style="width:{width}px">{d}</div>' for d in drawings))
    cut = page.evaluate(_CUT)
    shown = page.evaluate("document.querySelectorAll('svg text').length")
    page.close()
    assert shown > 6 * len(drawings)
    assert cut == []


@pytest.mark.parametrize("width", [340, 720])
def test_what_is_written_of_a_strip_does_not_run_into_its_label(width: int, browser: Any) -> None:
    samples = [*np.linspace(18, 22, 300), 37.0]
    strips = [Strip(label, "fp32", samples) for label in ("onnxruntime fp32", "openvino int8", "tensorrt:dla0 int8")]
    page = browser.new_page(viewport={"width": width, "height": 800})
    page.set_content(f'<style>{STYLE}</style><div style="width:{width}px">{latency_strips(strips, width)}</div>')
    rows = page.evaluate(
        """[...document.querySelectorAll('svg .label')].map(label => {
          const note = label.nextElementSibling;
          return [label.getBoundingClientRect().right, note.getBoundingClientRect().left, note.textContent];
        })"""
    )
    page.close()
    assert len(rows) == 3
    for right, left, note in rows:
        assert right + 4 < left
        assert note.startswith("median 20.01 ms")
        assert ("up to 37" in note) == (width == 720)
