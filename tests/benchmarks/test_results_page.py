"""docs/results.md is what the generator gives from the stored results, and says what they say."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
from pathlib import Path

import pytest

from edge_iqa.benchmarks.report_files import json_text
from edge_iqa.benchmarks.report_table import number
from edge_iqa.benchmarks.result_files import read_result
from edge_iqa.benchmarks.results_page import results_page, without_samples
from edge_iqa.benchmarks.run import BenchOutcome

ROOT = Path(__file__).parents[2]
STORED = sorted((ROOT / "benchmarks" / "results").glob("*.json"))
PAGE = ROOT / "docs" / "results.md"


def test_there_are_stored_results() -> None:
    assert STORED


def test_the_page_is_what_the_stored_results_give() -> None:
    assert PAGE.read_text(encoding="utf-8") == results_page({path.name: read_result(path) for path in STORED})


@pytest.mark.parametrize("path", STORED, ids=lambda path: path.name)
def test_every_stored_row_is_on_the_page(path: Path) -> None:
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    for row in read_result(path).rows:
        latency = number(row.latency_ms.p50)
        assert any(line.startswith(f"| {row.label} | {latency}") and row.verdict in line for line in lines)


def test_stored_files_are_small() -> None:
    assert all(path.stat().st_size < 250_000 for path in STORED)


def test_the_command_writes_page_and_copies(bench_outcome: BenchOutcome, tmp_path: Path) -> None:
    result = bench_outcome.result
    source, page, store = tmp_path / "a.json", tmp_path / "page.md", tmp_path / "store"
    source.write_text(json_text(result))
    subprocess.run(
        [sys.executable, "-m", "edge_iqa.benchmarks.results_page", str(source), "-o", str(page), "--store", str(store)],
        check=True,
        timeout=60,
    )
    assert page.read_text() == results_page({"a.json": result})
    assert read_result(store / "a.json") == without_samples(result)
    assert page.read_text() == results_page({"a.json": read_result(store / "a.json")})


def test_names_cannot_break_the_tables(bench_outcome: BenchOutcome) -> None:
    result = bench_outcome.result
    row = dataclasses.replace(result.rows[0], target="a | b <script>", reasons=["one\n| two"])
    page = results_page({"a.json": dataclasses.replace(result, rows=[row])})
    assert "<script>" not in page.replace("\\<script\\>", "")
    line = next(line for line in page.splitlines() if line.startswith("| a "))
    assert len(re.findall(r"(?<!\\)\|", line)) == 12
