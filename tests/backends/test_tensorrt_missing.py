"""Where TensorRT, CUDA or the device is missing or too old, the backend says what to do about it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from edge_iqa.backends import cuda_memory
from edge_iqa.backends import tensorrt as backend_module
from edge_iqa.backends.cuda_memory import CudaRuntime
from edge_iqa.backends.tensorrt import TensorRtBackend
from edge_iqa.backends.tensorrt_engine import l4t_release
from edge_iqa.errors import DeviceUnavailable

from .tensorrt_standins import FakeCudart, FakeTensorRt


def test_says_where_the_package_is_hidden(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    hidden = tmp_path / "python3.10" / "dist-packages" / "tensorrt"
    hidden.mkdir(parents=True)
    monkeypatch.setattr(backend_module, "_SYSTEM_PACKAGES", tmp_path)
    monkeypatch.setattr(sys, "prefix", "/somewhere/venv")
    reason = TensorRtBackend.unavailable()
    assert reason is not None
    assert str(hidden) in reason
    assert "--system-site-packages" in reason


def test_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    monkeypatch.setattr(backend_module, "_SYSTEM_PACKAGES", tmp_path)
    monkeypatch.setattr(backend_module, "l4t_release", lambda: "36.4.3")
    reason = TensorRtBackend.unavailable() or ""
    assert "36.4.3" in reason
    assert "sudo apt install python3-libnvinfer" in reason
    monkeypatch.setattr(backend_module, "l4t_release", lambda: "none")
    assert "not a Jetson" in (TensorRtBackend.unavailable() or "")


def test_says_that_a_version_is_too_old_or_the_device_is_missing(tensorrt: FakeTensorRt, cudart: FakeCudart) -> None:
    assert TensorRtBackend.unavailable() is None
    cudart.devices = 0
    assert "no CUDA device" in (TensorRtBackend.unavailable() or "")
    tensorrt.__version__ = "8.4.1"
    assert "too old" in (TensorRtBackend.unavailable() or "")


def test_cuda_errors_are_named(cudart: FakeCudart) -> None:
    library = cudart.library()
    library.cudaGetErrorString = lambda status: b"CUDA driver version is insufficient"
    cudart.status = 35
    with pytest.raises(DeviceUnavailable, match="error 35: CUDA driver version is insufficient"):
        CudaRuntime(library)
    cudart.status = 0
    runtime = CudaRuntime(library)
    assert (runtime.device_name(), runtime.compute_capability()) == ("Orin", "8.7")
    cudart.status = 700
    with pytest.raises(DeviceUnavailable, match="cudaStreamSynchronize"):
        runtime.synchronize(77)


def test_a_missing_cuda_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda_memory, "LIBRARY_NAMES", ("libno-such-library.so.1",))
    with pytest.raises(DeviceUnavailable, match=r"libno-such-library\.so\.1"):
        CudaRuntime()


def test_reads_the_jetson_release(tmp_path: Path) -> None:
    path = tmp_path / "nv_tegra_release"
    assert l4t_release(path) == "none"
    path.write_text("# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic, EABI: aarch64\n")
    assert l4t_release(path) == "36.4.3"
    path.write_text("something else")
    assert l4t_release(path) == "none"
