"""The forms of a result: JSON by its schema, CSV, the table for a terminal, and the HTML page."""

from __future__ import annotations

import copy
import csv
import dataclasses
import getpass
import io
import json
import platform
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest

from edge_iqa.benchmarks.report_files import CSV_COLUMNS, csv_text, json_text, schema
from edge_iqa.benchmarks.report_html import html_text
from edge_iqa.benchmarks.report_table import WIDTH, advice_lines, number, print_table
from edge_iqa.benchmarks.results import BenchResult, RowError
from edge_iqa.benchmarks.run import BenchOutcome
from edge_iqa.benchmarks.svg_plots import Strip, latency_strips, nice_ticks, score_scatter
from edge_iqa.benchmarks.verdict import VERDICTS

jsonschema = pytest.importorskip("jsonschema")


@pytest.fixture
def result(bench_outcome: BenchOutcome) -> BenchResult:
    return bench_outcome.result


@pytest.fixture
def flipping(result: BenchResult) -> BenchResult:
    """Return the result with a second row whose scores are the reference's, mirrored at the threshold."""
    first, second, *others = result.rows
    assert second.drift is not None
    drift = dataclasses.replace(second.drift, srcc=-1.0, flips=12)
    scores = [min(max(2 * drift.threshold - score, 0.0), 1.0) for score in result.reference_scores]
    row = dataclasses.replace(second, scores=scores, drift=drift, verdict="DRIFT")
    return dataclasses.replace(result, rows=[first, row, *others])


def test_json_follows_its_schema(result: BenchResult) -> None:
    document = json.loads(json_text(result))
    jsonschema.Draft202012Validator.check_schema(schema())
    jsonschema.validate(document, schema(), jsonschema.Draft202012Validator)
    assert document["schema_version"] == 2
    assert document["rows"][0]["latency_ms"]["n"] == len(document["rows"][0]["samples_ms"])
    assert len(document["reference_scores"]) == len(document["images"]["names"]) == document["images"]["n"]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda document: document["rows"][0].pop("verdict"),
        lambda document: document["rows"][0].update(verdict="FINE"),
        lambda document: document["rows"][0].update(latency=1.0),
        lambda document: document["rows"][0]["latency_ms"].update(p90="10"),
        lambda document: document["bundle"].update(sha256="none"),
        lambda document: document.update(schema_version=1),
    ],
)
def test_the_schema_refuses_what_is_wrong(result: BenchResult, spoil: object) -> None:
    document = copy.deepcopy(json.loads(json_text(result)))
    spoil(document)  # type: ignore[operator]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, schema())


def test_the_schema_knows_all_verdicts() -> None:
    assert set(schema()["$defs"]["row"]["properties"]["verdict"]["enum"]) == set(VERDICTS)


def test_nothing_names_the_owner(result: BenchResult, bench_pictures: Path) -> None:
    error = RowError("E510", f"cannot open {Path.home() / 'secret' / 'model'}")
    row = dataclasses.replace(result.rows[0], error=error)
    text = json_text(dataclasses.replace(result, rows=[row]))
    assert "~" in text
    assert str(Path.home()) + "/" not in text
    assert str(bench_pictures) not in text
    assert platform.node() not in re.sub(r'"os": "[^"]*"', "", text)
    assert f'"{getpass.getuser()}"' not in text


def test_csv_has_a_line_per_row(result: BenchResult) -> None:
    rows = list(csv.DictReader(io.StringIO(csv_text(result))))
    assert tuple(rows[0]) == CSV_COLUMNS
    assert [row["verdict"] for row in rows] == [row.verdict for row in result.rows]
    first = result.rows[0]
    assert first.stages_ms is not None
    assert float(rows[0]["infer_ms"]) == first.stages_ms.infer
    assert float(rows[0]["p50_ms"]) == first.latency_ms.p50
    assert rows[0]["p99_ms"] == ""
    assert rows[-1]["n"] == "0"
    assert rows[-1]["srcc"] == ""


def test_the_table_is_plain_and_fits(flipping: BenchResult) -> None:
    stream = io.StringIO()
    row = flipping.rows[0]
    assert row.stages_ms is not None
    slow = dataclasses.replace(
        row,
        target="jetson:dla0",
        verdict="TOO_FEW_SAMPLES",
        size_bytes=123_456_789,
        latency_ms=dataclasses.replace(row.latency_ms, p50=12345.6, p90=23456.7, p99=34567.8),
        stages_ms=dataclasses.replace(row.stages_ms, decode=123.4, resize=123.4, infer=12345.6),
    )
    print_table(dataclasses.replace(flipping, rows=[*flipping.rows, slow]), stream)
    lines = stream.getvalue().splitlines()
    assert len(lines) == len(flipping.rows) + 2
    assert all(line.isascii() and len(line) <= WIDTH for line in lines)
    assert re.search(r"onnxruntime +int8 .* 12/12 +DRIFT", lines[2])
    assert lines[-1].split()[0] == "jetson:dla0"
    assert lines[-1].rstrip().endswith("TOO_FEW_SAMPLES")


def test_advice_has_a_line_per_row_and_names_reference_and_threshold(result: BenchResult) -> None:
    lines = advice_lines(result)
    assert [line.split(":")[0] for line in lines[: len(result.rows)]] == [row.label for row in result.rows]
    assert any("onnxruntime fp32 on 12 pictures" in line for line in lines)
    assert any("p99 needs 662 samples" in line for line in lines)


@pytest.mark.parametrize(
    ("value", "text"), [(None, "-"), (0.1234, "0.12"), (9.999, "10.0"), (45.67, "45.7"), (1234.5, "1234")]
)
def test_numbers_have_about_three_digits(value: float | None, text: str) -> None:
    assert number(value) == text


def test_the_page_fetches_nothing_and_runs_nothing(flipping: BenchResult) -> None:
    page = html_text(flipping)
    assert not re.search(r"https?:|//[a-z]|url\(|@import|<script|<link|<iframe|src=|href=|javascript:", page)


def test_the_page_escapes_what_it_is_given(flipping: BenchResult) -> None:
    evil = "<script>alert(1)</script>"
    row = flipping.rows[1]
    row = dataclasses.replace(row, target=evil, reasons=[evil], advice=evil, runtime_version=evil)
    bundle = dataclasses.replace(flipping.bundle, name=evil)
    page = html_text(dataclasses.replace(flipping, bundle=bundle, rows=[flipping.rows[0], row]))
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "<b>0&.png" not in page
    assert "&lt;b&gt;0&amp;.png" in page


def test_the_page_shows_every_row_and_its_verdict(flipping: BenchResult) -> None:
    page = html_text(flipping)
    for row in flipping.rows:
        assert f'{row.label}</span><span class="chip {row.verdict.lower()}">' in page
        assert all(reason.split(";")[0][:20] in page for reason in row.reasons)
    assert page.count('class="flip"') == 12
    assert flipping.bundle.sha256 in page
    assert "prefers-color-scheme: dark" in page


def test_the_page_without_any_measurement(result: BenchResult) -> None:
    page = html_text(dataclasses.replace(result, rows=[result.rows[-1]], reference_scores=[], waterfall=[]))
    assert "INCOMPATIBLE" in page
    assert "<svg" not in page


def test_strips_stay_inside_the_picture_and_count_what_is_beyond() -> None:
    samples = [*np.random.default_rng(0).normal(10, 0.3, 500).tolist(), 900.0]
    picture = latency_strips([Strip("a <b>", "int8", samples), Strip("empty", "fp32", [])], 360)
    root = ElementTree.fromstring(picture)
    assert all(0 <= float(dot.attrib["cx"]) <= 360 for dot in root.iter("circle"))
    texts = [text.text or "" for text in root.iter("text")]
    assert "a <b>" in texts
    assert "empty" not in texts
    assert any("1 beyond, up to 900" in text for text in texts)
    assert latency_strips([Strip("empty", "fp32", [])], 360) == ""


def test_a_scatter_puts_equal_scores_on_the_diagonal_and_marks_flips() -> None:
    root = ElementTree.fromstring(score_scatter([0.2, 0.4, 0.8], [0.2, 0.6, 0.8], 0.5, "x"))
    dots = list(root.iter("circle"))
    assert [dot.attrib["class"] for dot in dots] == ["dot", "flip", "dot"]
    diagonal = next(line for line in root.iter("line") if line.attrib["class"] == "diagonal")
    x1, y1, x2, y2 = (float(diagonal.attrib[key]) for key in ("x1", "y1", "x2", "y2"))
    for dot in (dots[0], dots[2]):
        share = (float(dot.attrib["cx"]) - x1) / (x2 - x1)
        assert float(dot.attrib["cy"]) == pytest.approx(y1 + share * (y2 - y1), abs=0.2)


def test_a_scatter_of_constant_scores_can_be_drawn() -> None:
    ElementTree.fromstring(score_scatter([0.5, 0.5], [0.5, 0.5], 0.5, "x"))


@pytest.mark.parametrize(("span", "start"), [(83.0, 0.0), (0.07, 0.36), (1234.0, 0.0), (1.0, -0.05)])
def test_ticks_are_few_round_and_inside(span: float, start: float) -> None:
    ticks = nice_ticks(span, 4, start)
    assert 2 <= len(ticks) <= 9
    assert all(start - 1e-9 <= tick <= start + span + 1e-9 for tick in ticks)
    steps = np.diff(ticks)
    assert np.allclose(steps, steps[0])
    assert f"{steps[0]:.0e}"[0] in "125"
