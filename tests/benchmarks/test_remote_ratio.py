"""Local and remote rows are paired by place and label, and a score that differs is seen."""

from __future__ import annotations

import dataclasses

import pytest

from edge_iqa.benchmarks.remote_ratio import remote_ratios
from edge_iqa.benchmarks.results import BenchResult
from edge_iqa.benchmarks.run import BenchOutcome


def _slower(result: BenchResult, factor: float, score_shift: float = 0.0) -> BenchResult:
    rows = []
    for row in result.rows:
        assert row.latency_ms is not None
        assert row.latency_ms.p50 is not None
        latency = dataclasses.replace(row.latency_ms, p50=row.latency_ms.p50 * factor)
        rows.append(dataclasses.replace(row, latency_ms=latency, scores=[score + score_shift for score in row.scores]))
    return dataclasses.replace(result, rows=rows)


@pytest.fixture
def local(bench_outcome: BenchOutcome) -> BenchResult:
    """Return the measured rows of a run; one of its targets is unusable on purpose."""
    result = bench_outcome.result
    return dataclasses.replace(result, rows=[row for row in result.rows if row.latency_ms and row.latency_ms.p50])


def test_ratios_and_scores(local: BenchResult) -> None:
    found = remote_ratios([local, local, local], [_slower(local, 1.5), _slower(local, 2.0), _slower(local, 1.0)])
    assert [row.label for row in found] == [row.label for row in local.rows]
    assert all(row.ratios == pytest.approx([1.5, 2.0, 1.0]) for row in found)
    assert all(row.same_scores for row in found)
    assert not any(row.same_scores for row in remote_ratios([local], [_slower(local, 1.0, score_shift=1e-6)]))


def test_a_missing_row_is_an_error(local: BenchResult) -> None:
    short = dataclasses.replace(local, rows=local.rows[1:])
    with pytest.raises(ValueError, match="not the same"):
        remote_ratios([local], [short])
    unmeasured = dataclasses.replace(local, rows=[dataclasses.replace(row, latency_ms=None) for row in local.rows])
    with pytest.raises(ValueError, match="not measured"):
        remote_ratios([local], [unmeasured])
