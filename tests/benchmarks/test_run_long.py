"""A benchmark with throughput and a sustained run, beside a processor hog, and of a bundle with a broken layer."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_iqa.benchmarks.run import BenchRequest, run_bench
from edge_iqa.benchmarks.sampling import SamplingPlan
from edge_iqa.bundle import default_bundle_path, read_bundle, write_bundle
from edge_iqa.errors import BarMissed

PLAN = SamplingPlan(
    "short",
    min_samples=30,
    min_seconds=0.5,
    rounds=3,
    settle_samples=0,
    warmup_min_seconds=0.0,
    warmup_max_seconds=0.05,
    timing_pictures=2,
)


def test_throughput_and_a_sustained_run(sharpness_bundle: Path, bench_pictures: Path) -> None:
    request = BenchRequest(
        sharpness_bundle,
        "onnxruntime",
        PLAN,
        "int8",
        bench_pictures,
        threads=2,
        streams=2,
        sustained_s=5.0,
        waterfall=False,
    )
    result = run_bench(request).result
    (row,) = result.rows
    assert (result.settings.streams, result.settings.sustained_s) == (2, 5.0)
    throughput = row.throughput
    assert throughput is not None
    assert (throughput.streams, throughput.threads_per_stream, len(throughput.rounds_pictures_per_s)) == (2, 1, 3)
    assert throughput.pictures_per_s == pytest.approx(throughput.pictures / throughput.seconds, rel=0.01)
    rounds = throughput.rounds_pictures_per_s
    assert min(rounds) * 0.99 <= throughput.pictures_per_s <= max(rounds) * 1.01
    sustained = row.sustained
    assert sustained is not None
    assert sustained.seconds >= 5.0
    assert len(sustained.intervals) >= 3
    assert sustained.intervals[0].start_s == 0
    assert all(interval.n > 64 and interval.p90_ms is not None for interval in sustained.intervals[:3])


@pytest.fixture
def hog() -> Iterator[None]:
    """Keep one processor busy, and this process and its children on that processor."""
    if not hasattr(os, "sched_setaffinity") or not Path("/proc/self/schedstat").exists():
        pytest.skip("this system cannot bind processes, or does not count their waiting")
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    spin = "import time\nend = time.monotonic() + 120\nwhile time.monotonic() < end: pass"
    process = subprocess.Popen([sys.executable, "-c", spin])
    try:
        yield
    finally:
        process.kill()
        process.wait()
        os.sched_setaffinity(0, before)


@pytest.mark.usefixtures("hog")
def test_a_hog_beside_the_run_makes_it_unstable(sharpness_bundle: Path, bench_pictures: Path) -> None:
    plan = dataclasses.replace(PLAN, min_seconds=2.0)
    request = BenchRequest(sharpness_bundle, "onnxruntime", plan, "fp32", bench_pictures, threads=1, waterfall=False)
    (row,) = run_bench(request).result.rows
    assert row.stability.waited is not None
    assert row.stability.waited > 0.2
    assert row.verdict == "UNSTABLE"
    assert any("other work had the processors" in reason for reason in row.reasons)
    assert "stop other work" in row.advice


@pytest.fixture
def broken_bundle(tmp_path: Path) -> Path:
    """Return the embedded bundle with the scale of one layer's weights four times too large."""
    onnx = pytest.importorskip("onnx")
    numpy_helper = pytest.importorskip("onnx.numpy_helper")
    bundle = read_bundle(default_bundle_path())
    model = onnx.load_from_string(bundle.files["model.int8.u8.onnx"])
    constants = {item.name: item for item in model.graph.initializer}
    makers = {output: node for node in model.graph.node for output in node.output}
    layers = [node for node in model.graph.node if node.op_type == "Conv" and node.input[1] in makers]
    scale = constants[makers[layers[len(layers) // 2].input[1]].input[1]]
    scale.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(scale) * 4, scale.name))
    path = tmp_path / "broken.eiqa"
    write_bundle(path, bundle.manifest, {**bundle.files, "model.int8.u8.onnx": model.SerializeToString()})
    return path


@pytest.mark.slow
def test_a_layer_with_a_broken_scale_is_drift_and_exit_1(broken_bundle: Path) -> None:
    plan = dataclasses.replace(PLAN, min_seconds=0.0, min_samples=11)
    request = BenchRequest(broken_bundle, "onnxruntime", plan, threads=1, drift_images=24, waterfall=False)
    outcome = run_bench(request)
    reference, broken = outcome.result.rows
    assert reference.verdict != "DRIFT"
    assert broken.verdict == "DRIFT"
    assert broken.drift is not None
    assert broken.drift.max_abs > 0.05
    with pytest.raises(BarMissed) as caught:
        outcome.raise_problems()
    assert caught.value.exit_code == 1
    assert "onnxruntime int8" in caught.value.why
    assert reference.roofline.limit_ms is None or reference.roofline.limit_ms > 0
