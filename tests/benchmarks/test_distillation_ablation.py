"""The ablation of distillation: every term is left out once, and nothing that is held out is trained on."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from edge_iqa.assets import photographs_folder
from edge_iqa.benchmarks import distillation_ablation
from edge_iqa.benchmarks.distillation_ablation import material, variants
from edge_iqa.models.student import LITE_STUDENT, RESNET_STUDENT
from edge_iqa.models.synthesis import VERSIONS, SynthesisSpec, SyntheticSet, find_photographs, synthesize
from edge_iqa.quantize.distill import TeacherTargets
from edge_iqa.quantize.recipe import FloatStage

CROPS = 4
TERMS = ("score_weight", "ranking_weight", "feature_weight", "map_weight")


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("work")
    photographs = find_photographs(photographs_folder())[:CROPS]
    synthesize(photographs, SynthesisSpec(crop_size=64, metrics=()), folder / "photographs")
    return folder


@pytest.fixture(scope="module")
def data(work: Path) -> SyntheticSet:
    photographs = find_photographs(photographs_folder())[:CROPS]
    return synthesize(photographs, SynthesisSpec(crop_size=64, metrics=()), work / "photographs")


def test_each_term_is_left_out_once() -> None:
    stage = FloatStage(steps=3)
    (_, untrained), (_, whole), *others = variants(stage)
    assert untrained is None
    assert whole == stage
    left_out = [[term for term in TERMS if getattr(spec, term) == 0] for _, spec in others]
    assert left_out == [*([term] for term in TERMS), [term for term in TERMS if term != "score_weight"]]


def test_what_is_held_out_is_not_trained_on(data: SyntheticSet) -> None:
    targets = TeacherTargets(torch.zeros(CROPS, VERSIONS), torch.zeros(CROPS, VERSIONS, 8))
    known = material(data, targets, solved=10, held_out=5)
    assert len(known.training.pictures) == len(known.training.steps) == CROPS - 1
    assert np.count_nonzero(known.solved_on) == 10
    assert 0 < len(known.held_out) <= 5
    assert min(known.held_out) >= (CROPS - 1) * VERSIONS


@pytest.mark.parametrize("student", [LITE_STUDENT, RESNET_STUDENT])
def test_every_way_is_measured(
    student: str, work: Path, data: SyntheticSet, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = work / f"{student}.toml"
    start = "imagenet" if student == LITE_STUDENT else "random"
    recipe.write_text(
        f'schema_version = 1\nname = "tiny"\nstudent = "{student}"\nstart = "{start}"\nheight = 64\nwidth = 64\n'
        "[data]\ncrop_size = 64\nmetrics = []\n"
        "[float_stage]\nsteps = 0\nbatch = 4\ncrop_size = 32\nlearning_rate = 0.02\n"
        "trunk_learning_rate = 0.02\n[qat_stage]\nsteps = 0\ncrop_size = 64\n"
    )
    words = ["ablation", str(work), "--student", student, "--recipe", str(recipe)]
    monkeypatch.setattr(sys, "argv", [*words, "--steps", "4", "--solved", "24", "--held-out", "12"])
    distillation_ablation.main()
    lines = capsys.readouterr().out.splitlines()[2:]
    rows = {name: (float(order), float(gap)) for name, order, gap in (line.strip("| ").split(" | ") for line in lines)}
    assert list(rows) == [name for name, _ in variants(FloatStage(steps=1))]
    assert all(-1 <= order <= 1 and gap > 0 for order, gap in rows.values())
    untrained, *trained = (gap for _, gap in rows.values())
    assert untrained not in trained
    assert len(set(trained)) > 3  # what is left out tells
