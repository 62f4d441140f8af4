"""Fixtures for all tests: a small bundle that needs no training, torch in one thread, a browser."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge_iqa.bundle import SCHEMA_VERSION, Manifest, Quantization, write_bundle
from edge_iqa.preprocess import PreprocessSpec

HEIGHT, WIDTH = 24, 32


def sharpness_graph() -> bytes:
    """Return an ONNX model: the mean difference of neighbouring columns, four times, limited to [0, 1]."""
    from onnx import TensorProto, helper

    def integers(name: str, value: int) -> object:
        return helper.make_tensor(name, TensorProto.INT64, [1], [value])

    def column(name: str, first: str, last: str) -> object:
        return helper.make_node("Slice", ["float", first, last, "axis"], [name])

    nodes = [
        helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        column("right", "one", "width"),
        column("left", "zero", "width_less_one"),
        helper.make_node("Sub", ["right", "left"], ["difference"]),
        helper.make_node("Abs", ["difference"], ["size"]),
        helper.make_node("ReduceMean", ["size", "axes"], ["mean"], keepdims=0),
        helper.make_node("Reshape", ["mean", "shape"], ["row"]),
        helper.make_node("Mul", ["row", "scale"], ["scaled"]),
        helper.make_node("Clip", ["scaled", "bottom", "top"], ["score"]),
    ]
    constants = [
        integers("zero", 0),
        integers("one", 1),
        integers("width", WIDTH),
        integers("width_less_one", WIDTH - 1),
        integers("axis", 2),
        helper.make_tensor("axes", TensorProto.INT64, [4], [0, 1, 2, 3]),
        helper.make_tensor("shape", TensorProto.INT64, [2], [1, 1]),
        helper.make_tensor("scale", TensorProto.FLOAT, [], [4 / 255]),
        helper.make_tensor("bottom", TensorProto.FLOAT, [], [0.0]),
        helper.make_tensor("top", TensorProto.FLOAT, [], [1.0]),
    ]
    graph = helper.make_graph(
        nodes,
        "sharpness",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, [1, HEIGHT, WIDTH, 3])],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, [1, 1])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    content: bytes = model.SerializeToString()
    return content


@pytest.fixture(scope="session")
def sharpness_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the path of a bundle for the backend onnxruntime whose score rises with sharpness."""
    pytest.importorskip("onnx", reason="the bundle's graph is made with onnx")
    graph = sharpness_graph()
    manifest = Manifest(
        SCHEMA_VERSION,
        "sharpness",
        "none",
        PreprocessSpec(HEIGHT, WIDTH),
        Quantization(8),
        {},
        golden_tolerance=0.02,
    )
    path = tmp_path_factory.mktemp("bundle") / "sharpness.eiqa"
    write_bundle(path, manifest, {"model.onnx": graph, "model.int8.u8.onnx": graph})
    return path


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Compute in one thread: sums of several are not in a fixed order."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Return a running Chromium, one for all tests of pages: Playwright allows one driver at a time."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("no Chromium here: apt install chromium")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with playwright.sync_playwright() as driver:
        running = driver.chromium.launch(executable_path=chromium, args=options, timeout=120_000)
        yield running
        running.close()
