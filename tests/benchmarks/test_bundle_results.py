"""The model card's numbers: a row per runtime, and one of TensorRT's graph that says it is not of a device."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from edge_iqa.assets import photographs_folder
from edge_iqa.benchmarks import bundle_results
from edge_iqa.bundle import default_bundle_path, read_bundle, write_bundle
from edge_iqa.errors import BundleRefused

TENSORRT = "tensorrt graph (computed by ONNX Runtime, not on a device)"
TARGETS = [f"{name} {precision}" for precision in ("fp32", "int8") for name in ("onnxruntime", "openvino", "tflite")]

pytest.importorskip("openvino")
pytest.importorskip("ai_edge_litert")


def test_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    photographs = sorted(photographs_folder().glob("*.jpg"))[:3]
    for folder, table, text in (
        ("opinions", "index.csv", "file,mos,subset\n0.jpg,0.1,a\n1.jpg,0.5,a\n2.jpg,0.9,a\n"),
        ("pairs", "pairs.csv", "better,worse,kind\n0.jpg,1.jpg,x\n2.jpg,1.jpg,x\n"),
    ):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / table).write_text(text)
        for index, photograph in enumerate(photographs):
            shutil.copy(photograph, tmp_path / folder / f"{index}.jpg")
    monkeypatch.setattr(sys, "argv", ["bundle_results", str(tmp_path)])
    bundle_results.main()
    printed = capsys.readouterr().out
    baselines = ["baseline laplacian", "baseline tenengrad", "baseline niqe"]
    agreement, drift, pairs = _tables(printed)
    assert [row[0] for row in agreement] == [*TARGETS, TENSORRT, *baselines]
    assert [row[0] for row in drift] == [*TARGETS, TENSORRT]
    assert [row[0] for row in pairs] == [*TARGETS, TENSORRT, *baselines]
    measured = drift[-1]
    assert 0 < float(measured[3]) < 0.1
    assert measured[4].endswith(" of 3")
    assert "`opinions`, 3 pictures" in printed
    assert "Largest difference between two runtimes in int8: 0.0" in printed


def _tables(printed: str) -> list[list[list[str]]]:
    """Return the cells of the rows below the headings of each table."""
    blocks = [part.splitlines() for part in printed.split("\n\n") if part.startswith("| ")]
    return [[line.strip("| ").split(" | ") for line in block[2:]] for block in blocks]


def test_a_bundle_without_that_graph_is_refused(tmp_path: Path) -> None:
    bundle = read_bundle(default_bundle_path())
    files = {name: content for name, content in bundle.files.items() if name != "model.int8.onnx"}
    write_bundle(tmp_path / "b.eiqa", bundle.manifest, files)
    photograph = min(photographs_folder().glob("*.jpg"))
    with pytest.raises(BundleRefused, match=r"no model\.int8\.onnx"):
        bundle_results.bundle_scores(tmp_path / "b.eiqa", photograph.parent, [photograph.name])
