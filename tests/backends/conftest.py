"""TensorRT and CUDA where there is neither."""

from __future__ import annotations

import sys

import pytest

from edge_iqa.backends import cuda_memory

from .tensorrt_standins import FakeCudart, FakeTensorRt


@pytest.fixture
def cudart(monkeypatch: pytest.MonkeyPatch) -> FakeCudart:
    """Return the stand-in for libcudart that the backend finds."""
    fake = FakeCudart()
    monkeypatch.setattr(cuda_memory, "_find_library", fake.library)
    return fake


@pytest.fixture
def tensorrt(monkeypatch: pytest.MonkeyPatch, cudart: FakeCudart) -> FakeTensorRt:
    """Return the stand-in for TensorRT that the backend imports."""
    fake = FakeTensorRt()
    monkeypatch.setitem(sys.modules, "tensorrt", fake)
    return fake
