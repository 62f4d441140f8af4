"""One short benchmark of the sharpness bundle, measured once for all tests that look at a result."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_iqa.benchmarks.run import BenchOutcome, BenchRequest, run_bench
from edge_iqa.benchmarks.sampling import SamplingPlan

SHORT_PLAN = SamplingPlan(
    "short",
    min_samples=66,
    min_seconds=0.0,
    rounds=3,
    settle_samples=1,
    warmup_min_seconds=0.0,
    warmup_max_seconds=0.05,
    timing_pictures=4,
)
PICTURES = 12


@pytest.fixture(scope="session")
def bench_pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of pictures from sharp to blurred, one with markup in its name."""
    folder = tmp_path_factory.mktemp("bench") / "pictures"
    folder.mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    for index in range(PICTURES):
        name = "<b>0&.png" if index == 0 else f"{index:02d}.png"
        cv2.imwrite(str(folder / name), cv2.GaussianBlur(noise, (0, 0), 0.3 + 0.15 * index))
    return folder


@pytest.fixture(scope="session")
def bench_outcome(sharpness_bundle: Path, bench_pictures: Path) -> BenchOutcome:
    """Return the outcome on all CPU runtimes; the bundle has files for onnxruntime and for openvino fp32."""
    return run_bench(BenchRequest(sharpness_bundle, "cpu", SHORT_PLAN, images=bench_pictures, threads=1))


@pytest.fixture(scope="session")
def command_line() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Return a function that runs ``edge-iqa`` as a process of its own."""

    def run(*arguments: str | Path, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        words = [sys.executable, "-c", "from edge_iqa.cli import main; main()", *map(str, arguments)]
        return subprocess.run(words, capture_output=True, text=True, timeout=timeout, check=False)

    return run
