"""A slim bundle holds the named runtimes' models alone, and they score as before."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

import edge_iqa
from edge_iqa.bundle import default_bundle_path, read_bundle
from edge_iqa.errors import BundleRefused, InvalidInput
from edge_iqa.slim import parse_kept, slim
from edge_iqa.verify import choose_targets, verify

from .command_line import Run


def test_what_is_kept_scores_and_verifies_as_before(tmp_path: Path, run: Run) -> None:
    path = tmp_path / "small.eiqa"
    done = run("slim", "--keep", "onnxruntime:int8", "-o", path)
    assert done.returncode == 0
    whole, small = read_bundle(default_bundle_path()), read_bundle(path)
    assert set(small.files) == {name for name in whole.files if not name.startswith(("model.", "openvino/"))} | {
        "model.int8.u8.onnx"
    }
    assert small.size_bytes < whole.size_bytes / 2
    assert small.manifest.provenance["slim_from_sha256"] == whole.sha256
    expected = {**whole.manifest.provenance, "slim_from_sha256": whole.sha256}
    left = dataclasses.replace(small.manifest, files={})
    assert left == dataclasses.replace(whole.manifest, provenance=expected, files={})
    picture = np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8)
    with edge_iqa.load(path, "onnxruntime") as ours, edge_iqa.load(None, "onnxruntime") as theirs:
        assert ours(picture).value == theirs(picture).value
    found = verify(small, choose_targets(["all"], ["all"]))
    assert found.passed
    assert {(row.backend, row.precision) for row in found.checked} == {("onnxruntime", "int8")}


@pytest.mark.parametrize("kept", ["onnxruntime", "openvino", "tflite"])
def test_left_to_choose_a_scorer_takes_a_runtime_that_is_served(tmp_path: Path, kept: str) -> None:
    path = tmp_path / "small.eiqa"
    slim(read_bundle(default_bundle_path()), [(kept, "int8")], path)
    with edge_iqa.load(path) as scorer:
        assert scorer.backend.name == kept
    with pytest.raises(BundleRefused, match="fp32 needs it"):
        edge_iqa.load(path, precision="fp32")


def test_another_runtime_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "small.eiqa"
    slim(read_bundle(default_bundle_path()), parse_kept("tensorrt:dla0:int8, onnxruntime:fp32"), path)
    assert {"model.onnx", "model.int8.onnx"} <= set(read_bundle(path).files)
    with pytest.raises(BundleRefused, match=r"model\.int8\.u8\.onnx"):
        edge_iqa.load(path, "onnxruntime", precision="int8")
    with pytest.raises(BundleRefused, match="tflite int8"):
        slim(read_bundle(path), [("tflite", "int8")], tmp_path / "none.eiqa")
    assert not (tmp_path / "none.eiqa").exists()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "Nothing was named"),
        ("tflite", "names no precision"),
        ("tflite:fp8", "no precision 'fp8'"),
        ("x:int8", "x"),
    ],
)
def test_wrong_words_are_named(text: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=words):
        slim(read_bundle(default_bundle_path()), parse_kept(text), tmp_path / "none.eiqa")
