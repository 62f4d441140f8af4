"""The ablation of quantization: every way runs, rounding to the nearest is the worst of the untrained ones."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from safetensors.torch import save_file

from edge_iqa.assets import photographs_folder
from edge_iqa.benchmarks import quantization_ablation
from edge_iqa.models.lite import HirqaSLite
from edge_iqa.models.synthesis import SynthesisSpec, find_photographs, synthesize
from edge_iqa.quantize.recipe import QatStage

RECIPE = """schema_version = 1
name = "tiny"
height = 64
width = 64
[data]
crop_size = 64
metrics = []
[float_stage]
steps = 0
[qat_stage]
steps = 2
batch = 4
crop_size = 64
pictures = 24
"""


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    """Return a command line for what a run of quantize left, on four photographs."""
    photographs = find_photographs(photographs_folder())[:4]
    synthesize(photographs, SynthesisSpec(crop_size=64, metrics=()), tmp_path / "photographs")
    student = HirqaSLite()
    student.load_shipped()
    save_file(student.state_dict(), tmp_path / "float.safetensors")
    (tmp_path / "tiny.toml").write_text(RECIPE)
    return ["ablation", str(tmp_path), "--recipe", str(tmp_path / "tiny.toml"), "--pictures", "12"]


def test_every_way_is_measured(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", words)
    quantization_ablation.main()
    lines = capsys.readouterr().out.splitlines()[2:]
    rows = {
        line.split(" | ")[0].strip("| "): [float(cell) for cell in line.strip("| ").split(" | ")[1:]] for line in lines
    }
    assert len(rows) == len(lines) == 10
    mean = {name: figures[1] for name, figures in rows.items()}
    assert mean["weights rounded to the nearest, neither rebuilt nor trained"] > 1.5 * mean["rebuilt, not trained"]
    assert all(mean <= largest and 0 <= flips <= 12 for _, mean, largest, flips in rows.values())


def test_rows_that_train_can_be_left_out(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", [*words, "--untrained"])
    monkeypatch.setattr(quantization_ablation, "train_quantized", lambda *_: pytest.fail("something was trained"))
    every = quantization_ablation.variants

    def few(spec: QatStage) -> list[quantization_ablation.Variant]:
        return [variant for variant in every(spec) if variant.trains or "neither" in variant.name]

    monkeypatch.setattr(quantization_ablation, "variants", few)
    quantization_ablation.main()
    rows = [line.split(" | ")[0] for line in capsys.readouterr().out.splitlines()[2:]]
    assert rows == ["| weights rounded to the nearest, neither rebuilt nor trained"]
