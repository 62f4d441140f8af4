"""Comparing two results: confidence of the ratio, what counts as worse, what is refused, and the command."""

from __future__ import annotations

import dataclasses
import io
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_iqa.benchmarks.compare import compare_results
from edge_iqa.benchmarks.compare_report import compare_schema, comparison_text, print_comparison
from edge_iqa.benchmarks.report_files import json_text
from edge_iqa.benchmarks.result_files import parse_result, read_result
from edge_iqa.benchmarks.results import BenchResult
from edge_iqa.benchmarks.run import BenchOutcome
from edge_iqa.benchmarks.stats_bootstrap import median_ratio
from edge_iqa.errors import ResultRefused, ResultsDiffer

jsonschema = pytest.importorskip("jsonschema")


def latencies(median: float, seed: int, count: int = 400) -> list[float]:
    return np.random.default_rng(seed).normal(median, median * 0.05, count).round(4).tolist()  # type: ignore[no-any-return]


@pytest.fixture
def base(bench_outcome: BenchOutcome) -> BenchResult:
    """Return a result with two VALID rows of about 10 ms."""
    rows = [
        dataclasses.replace(row, verdict="VALID", reasons=[], samples_ms=latencies(10.0, index))
        for index, row in enumerate(bench_outcome.result.rows[:2])
    ]
    return dataclasses.replace(bench_outcome.result, rows=rows)


def with_second(result: BenchResult, **changes: Any) -> BenchResult:
    first, second = result.rows
    return dataclasses.replace(result, rows=[first, dataclasses.replace(second, **changes)])


def test_the_interval_holds_the_true_ratio_and_shrinks_with_samples() -> None:
    wide = median_ratio(latencies(10, 1, 40), latencies(12, 2, 40))
    narrow = median_ratio(latencies(10, 1, 2000), latencies(12, 2, 2000))
    assert wide is not None
    assert narrow is not None
    assert wide.low < 1.2 < wide.high
    assert narrow.low < 1.2 < narrow.high
    assert narrow.high - narrow.low < (wide.high - wide.low) / 2
    assert median_ratio([1.0] * 10, [1.0] * 99) is None


def test_latencies_that_wander_give_a_wider_interval_than_the_same_in_random_order() -> None:
    generator = np.random.default_rng(0)
    wandering = 10 + np.cumsum(generator.normal(0, 0.1, 600))
    shuffled = generator.permutation(wandering)
    steady = [10.0] * 600
    slow, fast = median_ratio(steady, wandering.tolist()), median_ratio(steady, shuffled.tolist())
    assert slow is not None
    assert fast is not None
    assert slow.high - slow.low > 2 * (fast.high - fast.low)


def test_the_same_run_is_not_worse(base: BenchResult) -> None:
    comparison = compare_results(base, base)
    assert comparison.regressions == []
    assert comparison.differences == []
    assert [row.latency.ratio for row in comparison.rows if row.latency] == [1.0, 1.0]


def test_noise_is_not_worse_and_a_tenth_is(base: BenchResult) -> None:
    noisy = with_second(base, samples_ms=latencies(10.2, 9))
    assert compare_results(base, noisy).regressions == []
    slower = with_second(base, samples_ms=latencies(11.5, 9))
    (sentence,) = compare_results(base, slower).regressions
    assert sentence.startswith("onnxruntime int8: 1")
    assert "slower" in sentence
    assert compare_results(base, slower, tolerance=0.3).regressions == []
    assert compare_results(slower, base).regressions == []


def test_a_shaky_row_is_not_called_slower(base: BenchResult) -> None:
    slower = with_second(base, samples_ms=latencies(15, 9), verdict="UNSTABLE")
    comparison = compare_results(base, slower)
    assert comparison.regressions == []
    assert "measure again" in comparison.rows[1].notes[0]


@pytest.mark.parametrize("verdict", ["DRIFT", "INCOMPATIBLE"])
def test_a_grave_verdict_is_worse(verdict: str, base: BenchResult) -> None:
    (sentence,) = compare_results(base, with_second(base, verdict=verdict)).regressions
    assert f"was VALID and is {verdict}" in sentence


def test_more_drift_is_worse(base: BenchResult) -> None:
    drift = base.rows[1].drift
    assert drift is not None
    assert drift.srcc is not None
    worse = dataclasses.replace(drift, srcc=drift.srcc - 0.01, max_abs=drift.max_abs + 0.02, flips=drift.flips + 2)
    comparison = compare_results(base, with_second(base, drift=worse))
    assert len(comparison.regressions) == 2
    change = comparison.rows[1].drift
    assert change is not None
    assert change.flips == 2
    assert change.srcc == pytest.approx(-0.01)


def test_a_missing_row_is_worse_and_a_new_one_is_not(base: BenchResult) -> None:
    fewer = dataclasses.replace(base, rows=base.rows[:1])
    assert compare_results(base, fewer).regressions == ["onnxruntime int8: it is missing in B"]
    assert compare_results(fewer, base).regressions == []


def test_other_bundles_and_pictures_are_refused_or_said(base: BenchResult) -> None:
    bundle = dataclasses.replace(base.bundle, sha256="0" * 64)
    pictures = dataclasses.replace(base.images, sha256="1" * 64)
    other = dataclasses.replace(base, bundle=bundle, images=pictures)
    with pytest.raises(ResultsDiffer) as caught:
        compare_results(base, other)
    assert "different bundles" in caught.value.why
    assert "different pictures" in caught.value.why
    comparison = compare_results(base, other, allow_different=True)
    assert len(comparison.differences) == 2
    assert all(row.drift is None for row in comparison.rows)


def test_other_machines_and_threads_are_said(base: BenchResult) -> None:
    other = dataclasses.replace(
        base,
        host=dataclasses.replace(base.host, board="Another board", cpus=64),
        settings=dataclasses.replace(base.settings, threads=63),
    )
    text = "; ".join(compare_results(base, other).differences)
    assert "machines" in text
    assert "Another board" in text
    assert "threads" in text


def test_json_follows_its_schema_and_the_table_fits(base: BenchResult) -> None:
    missing = dataclasses.replace(base, rows=base.rows[:1])
    comparison = compare_results(base, missing)
    document = json.loads(comparison_text(comparison, base, missing))
    jsonschema.Draft202012Validator.check_schema(compare_schema())
    jsonschema.validate(document, compare_schema(), jsonschema.Draft202012Validator)
    assert document["rows"][1]["verdict"] == ["VALID", None]
    document["rows"][0]["latency"] = 1.0
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, compare_schema())
    stream = io.StringIO()
    print_comparison(comparison, stream)
    lines = stream.getvalue().splitlines()
    assert len(lines) == 3
    assert all(len(line) <= 120 and line.isascii() for line in lines)
    assert lines[2].rstrip().endswith("VALID > -")


def test_a_result_survives_its_file(bench_outcome: BenchOutcome) -> None:
    assert parse_result(json_text(bench_outcome.result).encode(), "x") == bench_outcome.result


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text[:-40],
        lambda text: text.replace('"schema_version": 2', '"schema_version": 1'),
        lambda text: text.replace('"verdict"', '"verdikt"', 1),
        lambda text: text.replace('"samples_ms": [', '"samples_ms": [NaN, ', 1),
        lambda text: "[]",
    ],
)
def test_what_is_no_result_is_refused(spoil: Any, bench_outcome: BenchOutcome) -> None:
    with pytest.raises(ResultRefused) as caught:
        parse_result(spoil(json_text(bench_outcome.result)).encode(), "x.json")
    assert "x.json" in caught.value.what
    assert caught.value.exit_code == 2


def test_a_missing_result_file(tmp_path: Path) -> None:
    with pytest.raises(ResultRefused, match="no result file"):
        read_result(tmp_path / "none.json")


def test_the_command(command_line: Callable[..., Any], base: BenchResult, tmp_path: Path) -> None:
    slow = with_second(base, samples_ms=latencies(20, 3))
    a, b, out = tmp_path / "a.json", tmp_path / "b.json", tmp_path / "c.json"
    a.write_text(json_text(base))
    b.write_text(json_text(slow))
    run = partial(command_line, "compare")
    told = run(a, b, "--json", out)
    assert told.returncode == 0
    assert "worse: onnxruntime int8" in told.stderr
    assert len(told.stdout.splitlines()) == 3
    assert json.loads(out.read_text())["regressions"]
    failed = run(a, b, "--fail-on", "regress")
    assert failed.returncode == 1
    assert "E600" in failed.stderr
    assert run(b, a, "--fail-on", "regress").returncode == 0
    assert run(a, b, "--fail-on", "rain").returncode == 2
