"""Medians read from what the runtimes' own tools print, and one comparison on the tiny bundle."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from edge_iqa.benchmarks.agreement import (
    Comparison,
    compare,
    litert_median,
    openvino_median,
    perf_test_median,
    tool_for,
)
from edge_iqa.bundle import read_bundle
from edge_iqa.errors import BackendMismatch, MissingDependency

OPENVINO = """[ INFO ] First inference took 9.51 ms
[ INFO ] Execution Devices:['CPU']
[ INFO ] Count:            60 iterations
[ INFO ] Latency:
[ INFO ]    Median:        8.42 ms
[ INFO ]    Average:       8.55 ms
"""
PERF_TEST = "Average inference time cost: 12.9 ms\nP50 Latency: 0.0125 s\nP90 Latency: 0.013 s\n"
LITERT = "Inference (avg):       15.01 ms\nInference (median):    14.87 ms\nInference (p5):        14.2 ms\n"


def test_medians_in_milliseconds() -> None:
    assert openvino_median(OPENVINO) == 8.42
    assert openvino_median(OPENVINO.replace("8.42 ms", "842.10 us")) == pytest.approx(0.8421)
    assert perf_test_median(PERF_TEST) == pytest.approx(12.5)
    assert litert_median(LITERT) == 14.87


@pytest.mark.parametrize("median", [openvino_median, perf_test_median, litert_median])
def test_an_output_without_a_median_is_an_error(median: object) -> None:
    with pytest.raises(BackendMismatch, match="no median"):
        median("it crashed")  # type: ignore[operator]


def test_a_tool_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_iqa.benchmarks.agreement._program", lambda name: None)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert tool_for("onnxruntime").name == "plain loop"
    with pytest.raises(MissingDependency, match="benchmark_app"):
        tool_for("openvino")


def test_ratios() -> None:
    assert Comparison("a", "b", [2.0, 3.0], [1.0, 2.0]).ratios == [2.0, 1.5]


def test_one_round_with_the_plain_loop(sharpness_bundle: Path) -> None:
    found = compare(read_bundle(sharpness_bundle), "onnxruntime", "fp32", rounds=1, runs=5, threads=1)
    assert (found.target, len(found.ratios)) == ("onnxruntime fp32", 1)
    assert found.ours_ms[0] > 0
    assert found.theirs_ms[0] > 0
