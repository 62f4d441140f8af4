"""Distillation: batches follow from the step, a stopped run ends as an unbroken one, maps belong to their pixels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from edge_iqa.models.lite import HirqaSLite
from edge_iqa.models.synthesis import VERSIONS, SynthesisSpec, SyntheticSet
from edge_iqa.quantize import distill as distill_module
from edge_iqa.quantize.batches import Normalisation, batches
from edge_iqa.quantize.distill import TeacherTargets, distill
from edge_iqa.quantize.qat import train_quantized
from edge_iqa.quantize.recipe import FloatStage, QatStage
from edge_iqa.quantize.reporting import Trained
from edge_iqa.quantize.teacher_maps import TeacherMaps

pytestmark = pytest.mark.usefixtures("one_thread")

CROPS, SIDE = 3, 96
FLOAT = FloatStage(steps=6, batch=4, crop_size=64)
PIXELS = Normalisation(HirqaSLite.mean, HirqaSLite.std)
QAT = QatStage(steps=4, batch=4, crop_size=64, pictures=8)


@pytest.fixture(scope="module")
def data() -> SyntheticSet:
    """Return a set of random pictures."""
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (CROPS, VERSIONS, SIDE, SIDE, 3), np.uint8)
    known = np.zeros((CROPS, VERSIONS), int)
    steps = [[() for _ in range(VERSIONS)] for _ in range(CROPS)]
    return SyntheticSet(pictures, known, known, steps, {}, [""] * CROPS, SynthesisSpec(), "sha")


def marked_maps() -> TeacherMaps:
    """Return maps of stride 16 whose two channels are the row and the column."""
    row, column = np.mgrid[0:6, 0:6].astype(np.float16)
    one = np.stack([row, column], axis=-1)
    return TeacherMaps({16: np.stack([one] * (CROPS * VERSIONS))})


@pytest.fixture(scope="module")
def targets(data: SyntheticSet) -> TeacherTargets:
    generator = torch.Generator().manual_seed(0)
    shape = (CROPS, VERSIONS)
    logits = torch.randn(shape, generator=generator)
    return TeacherTargets(logits, torch.randn((*shape, 8), generator=generator), marked_maps())


def test_every_picture_comes_once_before_any_comes_again(data: SyntheticSet) -> None:
    total = CROPS * VERSIONS
    drawn = torch.cat([batch.pictures for batch in batches(data, 4, 64, 2 * total // 4, seed=3)])
    assert sorted(drawn[:total].tolist()) == list(range(total))
    assert sorted(drawn[total:].tolist()) == list(range(total))
    assert drawn[:total].tolist() != drawn[total:].tolist()


def test_a_batch_follows_from_its_step_alone(data: SyntheticSet) -> None:
    whole = list(batches(data, 4, 64, 12, seed=3))
    for expected, late in zip(whole[10:], batches(data, 4, 64, 12, seed=3, first_step=10), strict=True):
        assert torch.equal(expected.pixels, late.pixels)
        assert torch.equal(expected.pictures, late.pictures)


def test_maps_are_cut_and_mirrored_with_their_pixels(data: SyntheticSet) -> None:
    maps = marked_maps()
    for batch in batches(data, 4, 64, 3, seed=1):
        cut = maps.cut(16, batch)
        assert cut.shape == (4, 2, 4, 4)
        steps = cut / cut.amax((0, 2, 3), keepdim=True)
        for index, mirrored in enumerate(batch.mirrored):
            rows, columns = steps[index]
            assert bool((rows[1:] > rows[:-1]).all())
            rising = columns[:, 1:] > columns[:, :-1]
            assert bool((~rising if mirrored else rising).all())
            picture = data.pictures.reshape(-1, SIDE, SIDE, 3)[int(batch.pictures[index])]
            y, x = batch.top[index], batch.left[index]
            pixels = picture[y : y + 64, x : x + 64]
            assert np.array_equal(batch.pixels[index].numpy(), pixels[:, ::-1] if mirrored else pixels)


def _student() -> HirqaSLite:
    torch.manual_seed(5)
    return HirqaSLite()


class _Stopped(Exception):
    pass


def _stop_at(last: int) -> Trained:
    def note(step: int, steps: int, loss: float) -> None:
        if step > last:
            raise _Stopped

    return note


def test_a_stopped_float_stage_ends_with_the_weights_of_an_unbroken_one(
    data: SyntheticSet, targets: TeacherTargets, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(distill_module, "CHECKPOINT_EVERY", 2)
    unbroken = _student()
    distill(unbroken, data, targets, FLOAT, 0, lambda *_: None)
    path = tmp_path / "checkpoint.safetensors"
    with pytest.raises(_Stopped):
        distill(_student(), data, targets, FLOAT, 0, _stop_at(4), checkpoint=path)
    resumed = _student()
    steps: list[int] = []
    distill(resumed, data, targets, FLOAT, 0, lambda step, *_: steps.append(step), checkpoint=path)
    assert steps == [5, 6]
    for name, value in unbroken.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


def test_a_checkpoint_of_another_run_is_not_gone_on_from(
    data: SyntheticSet, targets: TeacherTargets, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(distill_module, "CHECKPOINT_EVERY", 2)
    path = tmp_path / "checkpoint.safetensors"
    distill(_student(), data, targets, replace(FLOAT, steps=2), 0, lambda *_: None, checkpoint=path)
    steps: list[int] = []
    distill(_student(), data, targets, FLOAT, 0, lambda step, *_: steps.append(step), checkpoint=path)
    assert steps[0] == 1


def test_map_and_feature_terms_reach_the_weights(data: SyntheticSet, targets: TeacherTargets) -> None:
    with_maps, without = _student(), _student()
    distill(with_maps, data, targets, FLOAT, 0, lambda *_: None)
    distill(without, data, replace(targets, maps=None), FLOAT, 0, lambda *_: None)
    assert not torch.equal(with_maps.trunk.stem[0].weight, without.trunk.stem[0].weight)


ENDS_LARGE = replace(FLOAT, last_steps=3, last_crop_size=96)


def test_a_stage_ends_with_larger_crops_and_as_many_pixels_a_step(
    data: SyntheticSet, targets: TeacherTargets, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, ...]] = []
    whole = HirqaSLite.maps
    monkeypatch.setattr(HirqaSLite, "maps", lambda self, x: (seen.append(tuple(x.shape)), whole(self, x))[1])
    distill(_student(), data, targets, replace(ENDS_LARGE, batch=9, settle_steps=1), 0, lambda *_: None)
    assert seen == [(9, 3, 64, 64)] * 3 + [(4, 3, 96, 96)] * 4


@pytest.mark.parametrize("last", [2, 4, 6])
def test_a_stage_that_ends_with_larger_crops_and_settles_can_be_stopped_too(
    data: SyntheticSet, targets: TeacherTargets, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, last: int
) -> None:
    monkeypatch.setattr(distill_module, "CHECKPOINT_EVERY", 2)
    spec = replace(ENDS_LARGE, settle_steps=2)
    unbroken, resumed, path = _student(), _student(), tmp_path / "checkpoint.safetensors"
    distill(unbroken, data, targets, spec, 0, lambda *_: None, pretrained=False)
    with pytest.raises(_Stopped):
        distill(_student(), data, targets, spec, 0, _stop_at(last), pretrained=False, checkpoint=path)
    distill(resumed, data, targets, spec, 0, lambda *_: None, pretrained=False, checkpoint=path)
    for name, value in unbroken.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


def test_settling_trains_weights_under_statistics_that_stand_still(data: SyntheticSet, targets: TeacherTargets) -> None:
    trained, settled = _student(), _student()
    distill(trained, data, targets, FLOAT, 0, lambda *_: None, pretrained=False)
    totals: list[int] = []
    settling = replace(FLOAT, settle_steps=2)
    distill(settled, data, targets, settling, 0, lambda _, total, __: totals.append(total), pretrained=False)
    assert totals == [8] * 8
    before, after = trained.state_dict(), settled.state_dict()
    statistics = {name for name in before if name.endswith(("running_mean", "running_var", "num_batches_tracked"))}
    assert all(torch.equal(before[name], after[name]) for name in statistics)
    assert not any(torch.equal(before[name], after[name]) for name in before.keys() - statistics)


def test_bfloat16_leaves_float32_weights_that_differ_little(
    data: SyntheticSet, targets: TeacherTargets, monkeypatch: pytest.MonkeyPatch
) -> None:
    started, exact = _student(), _student()
    distill(exact, data, targets, FLOAT, 0, lambda *_: None)
    moved = exact.trunk.stem[0].weight - started.trunk.stem[0].weight
    for known in (True, False):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda known=known: {"avx512_bf16": known}, raising=False)
        student = _student()
        distill(student, data, targets, replace(FLOAT, bfloat16=True), 0, lambda *_: None)
        assert all(value.dtype == torch.float32 for value in student.parameters())
        apart = student.trunk.stem[0].weight - exact.trunk.stem[0].weight
        assert bool(apart.any()) is known
        assert float(apart.detach().norm()) < float(moved.detach().norm())


def test_a_stopped_quantization_ends_with_the_weights_of_an_unbroken_one(data: SyntheticSet, tmp_path: Path) -> None:
    student = _student()
    unbroken = train_quantized(student, PIXELS, data, QAT, 0, lambda *_: None)
    path = tmp_path / "qat.safetensors"
    train_quantized(student, PIXELS, data, QAT, 0, lambda *_: None, checkpoint=path)
    steps: list[int] = []
    resumed = train_quantized(student, PIXELS, data, QAT, 0, lambda step, *_: steps.append(step), checkpoint=path)
    assert steps == []
    for name, value in unbroken.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name
