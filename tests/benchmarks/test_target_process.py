"""A worker process: what it answers, and what becomes of it when it fails, dies, or hangs."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_iqa.benchmarks.pictures import collect_pictures
from edge_iqa.benchmarks.target_process import TargetProcess
from edge_iqa.errors import BackendMismatch, ImageNotFound, InvalidInput

Document = dict[str, object]


@pytest.fixture
def picture(tmp_path: Path) -> Document:
    pixels = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "a.png"), pixels)
    return dataclasses.asdict(collect_pictures(tmp_path, 1, 0).pictures[0])


def load(process: TargetProcess, bundle: Path, picture: Document) -> Document:
    return process.ask("load", bundle=str(bundle), backend="onnxruntime", precision="int8", threads=1, picture=picture)


def test_load_score_and_run(sharpness_bundle: Path, picture: Document) -> None:
    with TargetProcess("onnxruntime int8") as process:
        loaded = load(process, sharpness_bundle, picture)
        assert loaded["load_ms"] > 0
        assert loaded["first_ms"] > 0
        (score,) = process.ask("score", pictures=[picture])["scores"]
        assert 0 < score < 1
        assert len(process.ask("prepare", pictures=[picture])["decode_ms"]) == 1
        assert process.ask("warmup", min_seconds=0, max_seconds=0.1)["latency_ms"] > 0
        answer = process.ask("run", samples=5, max_seconds=60, settle=1)
        assert [len(answer[key]) for key in ("resize_ms", "infer_ms", "total_ms")] == [5, 5, 5]
        parts = zip(answer["resize_ms"], answer["infer_ms"], answer["total_ms"], strict=True)
        assert all(resize + infer <= total for resize, infer, total in parts)


def test_time_is_up_before_the_count(sharpness_bundle: Path, picture: Document) -> None:
    with TargetProcess("onnxruntime int8") as process:
        load(process, sharpness_bundle, picture)
        process.ask("prepare", pictures=[picture])
        assert len(process.ask("run", samples=1000, max_seconds=0, settle=0)["total_ms"]) == 1


def test_an_error_of_the_tool_arrives_as_itself(sharpness_bundle: Path, picture: Document) -> None:
    with TargetProcess("onnxruntime int8") as process:
        with pytest.raises(InvalidInput, match="no precision"):
            process.ask(
                "load",
                bundle=str(sharpness_bundle),
                backend="onnxruntime",
                precision="int3",
                threads=1,
                picture=picture,
            )
        load(process, sharpness_bundle, picture)
        with pytest.raises(ImageNotFound):
            process.ask("score", pictures=[{**picture, "path": "/no/such/file.png"}])
        assert process.ask("score", pictures=[picture])["scores"]


def test_a_worker_that_dies_is_a_mismatch() -> None:
    with TargetProcess("onnxruntime int8") as process:
        process._process.kill()
        with pytest.raises(BackendMismatch, match="has ended") as caught:
            process.ask("score", pictures=[])
        assert "SIGKILL" in caught.value.why


def test_a_worker_that_hangs_is_stopped() -> None:
    with TargetProcess("onnxruntime int8") as process:
        with pytest.raises(BackendMismatch, match="has ended") as caught:
            process.ask("score", timeout_s=0.001, pictures=[])
        assert "did not answer" in caught.value.why


def test_closing_twice_is_fine() -> None:
    process = TargetProcess("onnxruntime int8")
    process.close()
    process.close()
    assert process._process.returncode == 0


def test_the_worker_needs_runtime_packages_only() -> None:
    code = (
        "import sys; import edge_iqa.benchmarks.run, edge_iqa.benchmarks.target_worker; "
        "print([name for name in ('torch', 'scipy', 'onnx', 'cv2', 'openvino', 'edge_iqa.models') "
        "if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
