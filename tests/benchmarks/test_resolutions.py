"""One trained graph serves other sizes of input: same numbers at its own, real ones at others."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from edge_iqa.assets import photographs_folder
from edge_iqa.backends.onnxruntime import OnnxRuntimeBackend
from edge_iqa.backends.openvino import OpenVinoBackend
from edge_iqa.benchmarks import resolutions
from edge_iqa.bundle import default_bundle_path, read_bundle
from edge_iqa.errors import InvalidInput
from edge_iqa.preprocess import input_spec, preprocess

GRAPH = "model.int8.u8.onnx"


def test_a_size_keeps_or_changes_what_the_graph_takes() -> None:
    bundle = read_bundle(default_bundle_path())
    own = bundle.manifest.preprocess.height
    tensor = np.random.default_rng(3).integers(0, 256, (1, own, own, 3), np.uint8)
    original = OnnxRuntimeBackend({GRAPH: bundle.files[GRAPH]}, threads=1)
    same = resolutions.resized(bundle.files[GRAPH], own).SerializeToString()
    assert OnnxRuntimeBackend({GRAPH: same}, threads=1).infer(tensor) == original.infer(tensor)
    small = OnnxRuntimeBackend({GRAPH: resolutions.resized(bundle.files[GRAPH], 96).SerializeToString()}, threads=1)
    dark, noise = np.zeros((1, 96, 96, 3), np.uint8), np.ascontiguousarray(tensor[:, :96, :96])
    assert small.infer(dark) != small.infer(noise)


def test_openvino_takes_the_bundles_own_graph() -> None:
    bundle = read_bundle(default_bundle_path())
    own = bundle.manifest.preprocess.height
    for side, same in ((own, True), (96, False)):
        tensor = np.random.default_rng(3).integers(0, 256, (1, side, side, 3), np.uint8)
        found = OpenVinoBackend(resolutions.resized_openvino(bundle, side), threads=1).infer(tensor)
        assert 0 < found < 1
        if same:
            assert found == OpenVinoBackend(bundle.take(OpenVinoBackend.artefacts["int8"], "test"), threads=1).infer(
                tensor
            )


def test_a_size_that_the_strides_do_not_divide_is_refused() -> None:
    with pytest.raises(InvalidInput, match="230"):
        resolutions.resized(read_bundle(default_bundle_path()).files[GRAPH], 230)


def test_patches_are_cut_from_the_shrunk_picture() -> None:
    picture = np.random.default_rng(5).integers(0, 256, (100, 140, 3), np.uint8)
    (middle,) = resolutions.views(picture, 64, 1, 128)
    assert np.array_equal(middle[0], picture[18:82, 38:102])
    corners = resolutions.views(picture, 64, 4, 128)
    assert np.array_equal(corners[0][0], picture[:64, :64])
    assert np.array_equal(corners[3][0], picture[-64:, -64:])
    (whole,) = resolutions.views(picture, 64, 0, 128)
    assert np.array_equal(whole, preprocess(picture, input_spec(64, 64)))
    large = picture.repeat(2, 0).repeat(2, 1)
    assert np.array_equal(resolutions.views(large, 64, 4, 100)[1], corners[1])
    assert {view.shape for view in resolutions.views(picture[:40], 64, 4, 128)} == {(1, 64, 64, 3)}


def test_table_and_points(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    photographs = sorted(photographs_folder().glob("*.jpg"))[:3]
    for folder, table, text in (
        ("biq2021-dev", "index.csv", "file,mos\n0.jpg,0.1\n1.jpg,0.5\n2.jpg,0.9\n"),
        ("authentic-dev", "pairs.csv", "better,worse\n0.jpg,1.jpg\n2.jpg,1.jpg\n"),
    ):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / table).write_text(text)
        for index, photograph in enumerate(photographs):
            shutil.copy(photograph, tmp_path / folder / f"{index}.jpg")
    points = tmp_path / "points.jsonl"
    options = f"--sizes 96,64 --patches 0,4 --rounds 1 --threads 1 --points {points}"
    words = ["resolutions", str(tmp_path), *options.split()]
    monkeypatch.setattr(sys, "argv", words)
    resolutions.main()
    lines = capsys.readouterr().out.splitlines()
    runtimes = ("openvino int8", "onnxruntime int8", "openvino fp32", "onnxruntime fp32")
    times = " | ".join(f"{name}, ms" for name in runtimes)
    assert lines[0] == f"| input | looks at | SROCC | pairs right | {times} |"
    rows = [line.split(" | ")[:2] for line in lines[2:]]
    assert rows == [[f"| {side}x{side}", pixels] for side in (96, 64) for pixels in ("all", "corners")]
    found = [json.loads(line) for line in points.read_text().splitlines()]
    assert {(point["name"], point["series"]) for point in found} == {
        (size, f"{name}, {pixels}")
        for size in ("96", "64")
        for name in ("openvino int8", "onnxruntime int8")
        for pixels in ("all", "corners")
    }
    assert all(point["p50_ms"] > 0 and -1 <= point["srcc"] <= 1 for point in found)
