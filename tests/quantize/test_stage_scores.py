"""Stage scores: what a bundle carries of teacher and student, and adding a teacher's to a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from edge_iqa.benchmarks.pictures import collect_pictures
from edge_iqa.benchmarks.stage_file import STAGE_FILE, look_up, read_stage_scores, tensor_key
from edge_iqa.benchmarks.teacher_scores import array_scorer
from edge_iqa.bundle import read_bundle, write_bundle
from edge_iqa.preprocess import PreprocessSpec, preprocess
from edge_iqa.quantize import stage_scores

SPEC = PreprocessSpec(24, 32)


class Brightness(nn.Module):
    """Scores a picture by its mean, moved by ``offset``."""

    mean, std = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)

    def __init__(self, offset: float) -> None:
        super().__init__()
        self.offset = offset

    def forward(self, x: Tensor) -> Tensor:
        return torch.sigmoid(x.mean((1, 2, 3)) + self.offset)[:, None]


@pytest.fixture(autouse=True)
def three_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage_scores, "PICTURES", 3)


def test_every_stage_is_stored_for_every_picture(sharpness_bundle: Path, tmp_path: Path) -> None:
    teacher = array_scorer(Brightness(0.0), Brightness.mean, Brightness.std)
    content = stage_scores.stages_of_training(
        SPEC, teacher, Brightness(0.5), Brightness(0.6), Brightness.mean, Brightness.std
    )
    bundle = read_bundle(sharpness_bundle)
    write_bundle(tmp_path / "staged.eiqa", bundle.manifest, {**bundle.files, STAGE_FILE: content})
    stored = read_stage_scores(read_bundle(tmp_path / "staged.eiqa"))
    pictures = [picture.load() for picture in collect_pictures(None, 3, 0).pictures]
    tensors = [preprocess(pixels, SPEC) for pixels in pictures]
    keys = [tensor_key(tensor) for tensor in tensors]
    assert look_up(stored, "teacher", keys)[0] == pytest.approx([teacher(pixels) for pixels in pictures], abs=1e-6)
    resized, _ = look_up(stored, "teacher_resized", keys)
    assert resized == pytest.approx([teacher(tensor[0]) for tensor in tensors], abs=1e-6)
    student, fake = look_up(stored, "student", keys)[0], look_up(stored, "fake_quant", keys)[0]
    assert all(a < b < c for a, b, c in zip(resized, student, fake, strict=True))


def test_a_teacher_can_be_added_and_the_rest_stays(
    sharpness_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load_network(_: Path) -> tuple[Any, str, dict[str, Any]]:
        return Brightness(0.2), "brightness", {}

    monkeypatch.setattr(stage_scores, "load_network", load_network)
    output = tmp_path / "with_teacher.eiqa"
    stage_scores.add_teacher(sharpness_bundle, tmp_path / "t.safetensors", output)
    before, after = read_bundle(sharpness_bundle), read_bundle(output)
    assert {name: data for name, data in after.files.items() if name != STAGE_FILE} == dict(before.files)
    stored = read_stage_scores(after)
    assert stored is not None
    assert set(stored.scores) == {"teacher", "teacher_resized"}
    assert len(stored.pictures) == 3
