"""What is worked out from a target's samples and readings: energy, waiting, threads of streams."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import pytest

from edge_iqa.benchmarks.rows import Measurement
from edge_iqa.benchmarks.sampling import PLANS, Stability, stability
from edge_iqa.benchmarks.session import Timing
from edge_iqa.benchmarks.target_worker import processors_busy_ns, scheduling_ns, thread_times_ns
from edge_iqa.benchmarks.targets import REFERENCE, targets_for
from edge_iqa.errors import DeviceUnavailable, InvalidInput


def measured(power_w: float | None, scheduling: list[int] | None) -> Measurement:
    entry = Measurement(REFERENCE)
    answer = {"resize_ms": [1.0] * 4, "infer_ms": [8.0] * 4, "total_ms": [10.0] * 4, "seconds": 0.05}
    for _ in range(2):
        entry.add({**answer, "scheduling_ns": scheduling})
    entry.state = dataclasses.replace(entry.state, power_w=power_w)
    return entry


def test_energy_is_power_times_time_per_picture() -> None:
    assert measured(8.0, None).energy_mj == pytest.approx(8.0 * 0.1 / 8 * 1000)
    assert measured(None, None).energy_mj is None
    assert Measurement(REFERENCE).energy_mj is None


def test_the_share_of_waiting_is_of_all_rounds() -> None:
    assert measured(None, [30, 10]).waited == 0.25
    assert measured(None, None).waited is None
    assert stability([1.0] * 20, 0.25) == Stability(0.0, 0.0, 0.25)


def test_running_and_waiting_are_read_for_every_thread(tmp_path: Path) -> None:
    for task, line in (("11", "100 5 3\n"), ("12", "50 20 1\n")):
        (tmp_path / task).mkdir()
        (tmp_path / task / "schedstat").write_text(line)
    assert thread_times_ns(tmp_path) == {"11": (100, 5), "12": (50, 20)}
    (tmp_path / "12" / "schedstat").write_text("broken")
    assert thread_times_ns(tmp_path) is None
    assert thread_times_ns(tmp_path / "none") is None


def test_threads_that_wait_for_each_other_wait_for_no_other_work() -> None:
    before = {"11": (1000, 10), "12": (500, 0)}
    after = {"11": (2000, 60), "12": (1400, 20), "helper": (40, 900)}
    assert scheduling_ns(before, after) == (1940, 970)
    assert scheduling_ns(before, after, 5000) == (1940, 970)
    assert scheduling_ns(before, after, 2000) == (1940, 60)
    assert scheduling_ns(before, after, 1900) == (1940, 0)
    assert scheduling_ns(None, after) is None
    assert scheduling_ns(before, None) is None


def test_the_work_of_all_processors_is_read(tmp_path: Path) -> None:
    stat = tmp_path / "stat"
    stat.write_text("cpu  10 2 3 400 50 6 7 8 0 0\ncpu0 10 2 3 400 50 6 7 8 0 0\nintr 4\n")
    assert processors_busy_ns(stat) == 28 * 1_000_000_000 // os.sysconf("SC_CLK_TCK")
    stat.write_text("intr 4\n")
    assert processors_busy_ns(stat) is None
    assert processors_busy_ns(tmp_path / "none") is None


def test_streams_share_out_the_threads() -> None:
    plan = PLANS["quick"]
    assert [Timing(plan, 8, streams).threads_per_stream for streams in (None, 2, 3, 16)] == [8, 4, 2, 1]


def test_devices_of_a_runtime_and_their_precisions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_iqa.benchmarks.targets.is_jetson", lambda: True)
    monkeypatch.setattr("edge_iqa.backends.tensorrt.TensorRtBackend.unavailable", lambda: None)
    monkeypatch.setattr("edge_iqa.backends.openvino.OpenVinoBackend.unavailable", lambda: None)
    gpu = targets_for("openvino:GPU", "int8")
    assert [(target.name, target.backend, target.runtime) for target in gpu] == [
        ("openvino:gpu", "openvino:gpu", "openvino")
    ]
    assert [target.precision for target in targets_for("jetson")] == ["fp32", "fp16", "int8"]
    accelerator = targets_for("jetson:dla1")
    assert [(target.backend, target.precision) for target in accelerator] == [
        ("tensorrt:dla1", "fp16"),
        ("tensorrt:dla1", "int8"),
    ]
    with pytest.raises(InvalidInput, match="fp32"):
        targets_for("jetson:dla0", "fp32")
    with pytest.raises(InvalidInput, match="fp16"):
        targets_for("tflite", "fp16")
    monkeypatch.setattr("edge_iqa.benchmarks.targets.is_jetson", lambda: False)
    with pytest.raises(DeviceUnavailable):
        targets_for("jetson:dla0")
