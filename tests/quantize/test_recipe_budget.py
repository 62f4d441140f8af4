"""Recipes and budgets: what is read, what is refused, what holds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge_iqa.assets import photographs_folder
from edge_iqa.bundle import default_bundle_path, read_bundle
from edge_iqa.decode import read_image
from edge_iqa.errors import BundleRefused, InvalidInput, UnknownKey
from edge_iqa.models.synthesis import find_photographs
from edge_iqa.preprocess import preprocess
from edge_iqa.quantize.budget import TargetScores, measure_drift, parse_budget
from edge_iqa.quantize.recipe import read_recipe, recipe_names


@pytest.mark.parametrize("name", recipe_names())
def test_shipped_recipes_read(name: str) -> None:
    recipe, text = read_recipe(name)
    assert recipe.name == name
    assert f'name = "{name}"' in text
    assert recipe.height % 32 == 0
    assert recipe.width % 32 == 0


def test_a_misspelt_key_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "r.toml"
    path.write_text('schema_version = 1\nname = "r"\n[float_stage]\nsteps = 1\nbatches = 2\n[qat_stage]\nsteps = 1\n')
    with pytest.raises(UnknownKey, match="batches"):
        read_recipe(str(path))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("schema_version = 2", "schema_version 2"),
        ("a = = 1", "not TOML"),
        ("schema_version = 1", "lacks the key"),
    ],
)
def test_broken_recipes_are_named(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "r.toml").write_text(text)
    with pytest.raises(InvalidInput, match=words):
        read_recipe(str(tmp_path / "r.toml"))


@pytest.mark.parametrize(
    ("float_stage", "words"),
    [
        ("steps = 2\ncrop_size = 224", "float_stage.crop_size 224"),
        ("steps = 2\ncrop_size = 100", "float_stage.crop_size 100"),
        ("steps = 2\ncrop_size = 64\nlast_steps = 1", "float_stage.last_crop_size 224"),
        ("steps = 2\ncrop_size = 64\nlast_steps = 3", "last_steps 3 of 2 steps"),
        ("steps = 0\nsettle_steps = 2", "settle_steps 2 after 0 steps"),
        ("steps = 2\ncrop_size = 64\nsettle_steps = -1", "settle_steps -1"),
        ("steps = 2\ncrop_size = 64\nstaged_steps = 3", "staged_steps 3 of 2 steps"),
        ("steps = 2\ncrop_size = 64\nstaged_steps = 1", "has staged_steps"),
        ("steps = 2\ncrop_size = 64\nrounds = 2", "has rounds 2"),
        ("steps = 2\ncrop_size = 64\nrounds = 0", "has rounds 0"),
        ("steps = 2\ncrop_size = 64\nstaged_steps = 1\nreach_steps = 3", "has reach_steps 3 of 2 steps"),
        ("steps = 2\ncrop_size = 64\nreach_steps = 1", "has reach_steps 1"),
        ("steps = 2\ncrop_size = 64\nfinish_steps = 1", "has finish_steps 1"),
        ("steps = 2\ncrop_size = 64\nstaged_steps = 1\nfinish_steps = -1", "has finish_steps -1"),
        ("steps = 0\n[qat_stage]\nsteps = 0\ncrop_size = 160", "qat_stage.crop_size 160"),
        ("steps = 0\n[qat_stage]\nsteps = 0\nweight_bits = 4", "qat_stage.weight_bits 4"),
    ],
)
def test_steps_and_crops_that_cannot_be_are_refused(tmp_path: Path, float_stage: str, words: str) -> None:
    qat = "" if "qat_stage" in float_stage else "[qat_stage]\nsteps = 0\ncrop_size = 128\n"
    text = f'schema_version = 1\nname = "r"\n[data]\ncrop_size = 128\n[float_stage]\n{float_stage}\n{qat}'
    (tmp_path / "r.toml").write_text(text)
    with pytest.raises(InvalidInput, match=words):
        read_recipe(str(tmp_path / "r.toml"))


def test_a_missing_recipe_names_the_shipped_ones() -> None:
    with pytest.raises(InvalidInput) as caught:
        read_recipe("fulll")
    assert all(name in caught.value.fix for name in recipe_names())


def test_budget_holds_and_misses() -> None:
    reference = np.array([0.1, 0.4, 0.6, 0.9])
    drift = TargetScores("x", reference, reference + np.array([0.0, 0.0, -0.15, 0.01]))
    srcc, largest, mean, flips = parse_budget("srcc>=0.998, max_abs<=0.1, mae<=0.05, flips@0.5<=0")
    assert srcc.holds(drift)
    assert not largest.holds(drift)
    assert mean.holds(drift)
    assert not flips.holds(drift)  # 0.6 became 0.45
    assert str(largest) == "max_abs<=0.1"
    assert drift.value("flips@0.5") == 1


def test_drift_is_measured_of_the_graph_for_tensorrt_too() -> None:
    bundle = read_bundle(default_bundle_path())
    photographs = find_photographs(photographs_folder())[:3]
    tensors = [preprocess(read_image(path), bundle.manifest.preprocess) for path in photographs]
    drifts = measure_drift(bundle.files, tensors)
    assert drifts[-1].target == "tensorrt graph"
    assert "not on a device" in drifts[-1].note
    assert not any("tensorrt" in drift.target for drift in drifts[:-1])
    for drift in drifts:
        assert 0 < drift.value("max_abs") < 0.1
    without = {name: content for name, content in bundle.files.items() if name != "model.int8.onnx"}
    with pytest.raises(BundleRefused, match=r"no model\.int8\.onnx"):
        measure_drift(without, tensors[:1])


@pytest.mark.parametrize("text", ["srcc<=0.9", "max_abs>=0.1", "speed<=3", "srcc>=high", "flips<=1"])
def test_unreadable_budgets_are_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="cannot be read"):
        parse_budget(text)
