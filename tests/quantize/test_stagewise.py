"""Distilling stage by stage: who reads whose maps, what is learnt from, and that a stopped run goes on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import edge_iqa.models
from edge_iqa.assets import photographs_folder
from edge_iqa.decode import read_image
from edge_iqa.errors import InvalidInput
from edge_iqa.models.hirqa import HiRQA
from edge_iqa.models.stage_statistics import StageStatistics
from edge_iqa.models.synthesis import VERSIONS, SynthesisSpec, SyntheticSet, find_photographs
from edge_iqa.quantize import stagewise
from edge_iqa.quantize.float_student import make_float_student
from edge_iqa.quantize.recipe import RANDOM, FloatStage, QatStage, Recipe
from edge_iqa.quantize.stagewise import as_pairs, distill_stagewise, map_losses, run_stages, share_given
from edge_iqa.quantize.teacher_source import TeacherSource, open_teacher
from edge_iqa.quantize.varied_crops import VariedCrops, vary

pytestmark = pytest.mark.usefixtures("one_thread")

SIDE = 160
SPEC = FloatStage(
    steps=6,
    batch=2,
    crop_size=32,
    last_steps=2,
    last_crop_size=64,
    settle_steps=2,
    staged_steps=4,
    rounds=2,
    finish_steps=3,
    reach_steps=8,
    map_weight=1.0,
)
STEPS = 19
CHANNELS = (24, 40, 112, 192, 320)


@pytest.fixture(scope="module")
def data() -> SyntheticSet:
    """Return a set of pieces of two photographs."""
    photographs = [read_image(path) for path in find_photographs(photographs_folder())[:2]]
    pieces = [
        [pixels[20 * k : 20 * k + SIDE, 10 * k : 10 * k + SIDE] for k in range(VERSIONS)] for pixels in photographs
    ]
    known = np.zeros((2, VERSIONS), int)
    steps = [[() for _ in range(VERSIONS)] for _ in range(2)]
    return SyntheticSet(np.array(pieces), known, known, steps, {}, [""] * 2, SynthesisSpec(crop_size=SIDE), "sha")


@pytest.fixture(scope="module")
def crops(data: SyntheticSet) -> VariedCrops:
    return VariedCrops(data, np.ones((2, VERSIONS), bool), 0)


@pytest.fixture(scope="module")
def teacher() -> StageStatistics:
    """Return the teacher of the shipped students."""
    found = open_teacher(Path(edge_iqa.models.__file__).parent / "weights" / "teacher.safetensors").network
    assert isinstance(found, StageStatistics)
    return found


def _student() -> HiRQA:
    torch.manual_seed(2)
    return HiRQA(18)


def _maps(count: int, side: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    strides = (4, 8, 16, 32, 32)
    return [
        torch.randn(count, c, side // s, side // s, generator=generator) for c, s in zip(CHANNELS, strides, strict=True)
    ]


def test_crops_follow_from_their_step_and_are_never_the_same_twice(data: SyntheticSet, crops: VariedCrops) -> None:
    first = crops.batch(5, 8, 64)
    assert first.dtype == torch.uint8
    assert first.shape == (8, 64, 64, 3)
    assert torch.equal(first, VariedCrops(data, np.ones((2, VERSIONS), bool), 0).batch(5, 8, 64))
    assert not torch.equal(first, crops.batch(6, 8, 64))
    assert len({crop.numpy().tobytes() for step in range(4) for crop in crops.batch(step, 8, 64)}) == 32


def test_half_of_the_crops_come_from_the_pictures_that_are_learnt(data: SyntheticSet) -> None:
    learnt = np.zeros((2, VERSIONS), bool)
    learnt[1, 0] = True
    black = replace(
        data, pictures=np.where(learnt[:, :, None, None, None], 255, 0).astype(np.uint8) * np.ones_like(data.pictures)
    )
    bright = VariedCrops(black, learnt, 0).batch(0, 400, 32).float().mean((1, 2, 3)) > 100
    assert 0.42 < float(bright.float().mean()) < 0.63


@pytest.mark.parametrize("size", [32, 96, SIDE])
def test_a_varied_crop_has_its_size_at_every_scale_and_keeps_its_colours_apart(size: int) -> None:
    red = np.zeros((SIDE, SIDE, 3), np.uint8)
    red[..., 0] = 200
    for seed in range(30):
        crop = vary(red, size, np.random.default_rng(seed))
        assert crop.shape == (size, size, 3)
        assert crop[..., 0].mean() > 3 * crop[..., 1:].mean()


def test_what_a_stage_is_given_is_the_teachers_and_what_it_learns_stays_its_own() -> None:
    student, maps, x = _student(), _maps(2, 64), torch.randn(2, 3, 64, 64)
    made = run_stages(student, x, maps, 1.0, torch.Generator())
    last = torch.nn.Conv2d(512, 320, 1)
    map_losses(made, maps, last)[3].backward()
    reached = [any(p.grad is not None and bool(p.grad.any()) for p in stage.parameters()) for stage in student.stages]
    assert reached == [False, False, False, True]
    given = torch.nn.functional.pad(as_pairs(maps[0]), (0, 0, 0, 0, 0, 64 - 48))
    assert torch.allclose(made[1], student.stages[1](given), atol=1e-4)


def test_joined_it_is_one_network_and_between_some_pictures_are_given() -> None:
    student, maps, x = _student().eval(), _maps(8, 64), torch.randn(8, 3, 64, 64)
    with torch.no_grad():
        alone, joined, between = (
            run_stages(student, x, maps, given, torch.Generator().manual_seed(0))[1] for given in (1.0, 0.0, 0.5)
        )
        assert torch.allclose(joined, student.backbone.features[:6](x), atol=1e-5)
    from_teacher = [bool(torch.allclose(one, other, atol=1e-5)) for one, other in zip(between, alone, strict=True)]
    from_itself = [bool(torch.allclose(one, other, atol=1e-5)) for one, other in zip(between, joined, strict=True)]
    assert 0 < sum(from_teacher) < 8
    assert [not one for one in from_teacher] == from_itself


def test_a_stage_that_makes_the_pairs_has_nothing_to_lose_and_a_constant_loses_one() -> None:
    maps = [torch.randn(4, channels, 16, 16) for channels in CHANNELS]
    last = torch.nn.Conv2d(512, 320, 1)
    whole = [torch.cat([as_pairs(z), torch.rand(4, 8, 16, 16)], 1) for z in maps[:4]]
    whole[3] = torch.cat([as_pairs(maps[3]), torch.zeros(4, 128, 16, 16)], 1)
    assert map_losses(whole, maps, last)[:4].tolist() == [0.0] * 4
    constant = [torch.full((4, 2 * z.shape[1], 16, 16), (2 * np.pi) ** -0.5) for z in maps[:3]] + [whole[3]]
    assert map_losses(constant, maps, last)[:3].tolist() == pytest.approx([1.0] * 3, abs=0.03)


def test_the_share_that_is_given_falls_from_one_to_nothing() -> None:
    spec = FloatStage(steps=100, staged_steps=40)
    assert [share_given(step, spec) for step in (0, 10, 25, 40, 99)] == pytest.approx([1, 1, 0.5, 0, 0])
    assert share_given(0, FloatStage(steps=100)) == 0


def test_a_teacher_tells_its_stages_with_the_same_features(teacher: StageStatistics) -> None:
    x = torch.randn(1, 3, 64, 96)
    features, maps = teacher.features_and_stages(x)
    assert torch.equal(features, teacher.features(x))
    assert [tuple(one.shape[1:]) for one in maps] == [(24, 16, 24), (40, 8, 12), (112, 4, 6), (192, 2, 3), (320, 2, 3)]


def test_training_brings_every_stage_nearer_to_its_map(crops: VariedCrops, teacher: StageStatistics) -> None:
    lessons = stagewise._Lessons(teacher, crops, 64)
    _, maps = lessons.of(crops.batch(1000, 16, 64))
    assert all(abs(float(z.mean())) < 0.3 and 0.5 < float(z.std()) < 2 for z in maps)
    student, losses = _student(), []
    spec = replace(
        SPEC,
        steps=25,
        batch=8,
        crop_size=64,
        last_steps=0,
        settle_steps=0,
        staged_steps=25,
        rounds=1,
        finish_steps=0,
        reach_steps=0,
    )
    distill_stagewise(student, teacher, crops, spec, 0, lambda _, __, loss: losses.append(loss))
    assert np.mean(losses[-5:]) < 0.8 * np.mean(losses[:5])


def test_rates_begin_anew_with_each_round_and_statistics_stand_still_when_it_settles(
    crops: VariedCrops, teacher: StageStatistics, monkeypatch: pytest.MonkeyPatch
) -> None:
    student = _student()
    statistics = student.backbone.features[1]
    rates: list[float] = []
    moving: list[bool] = []

    def look(loss: torch.Tensor, optimizer: torch.optim.Optimizer, *_: object, **__: object) -> None:
        rates.append(optimizer.param_groups[0]["lr"] / SPEC.learning_rate)
        moving.append(statistics.training)

    monkeypatch.setattr(stagewise, "descend", look)
    distill_stagewise(student, teacher, crops, SPEC, 0, lambda *_: None)
    assert rates[:8] == rates[8:16]
    assert max(rates) == rates[1] > 0.9
    assert rates[6] == rates[14] == rates[16] == pytest.approx(0.2)
    assert rates[16:] == sorted(rates[16:], reverse=True)
    assert moving == [*[True] * 6, False, False] * 2 + [False] * 3


def test_what_reaches_far_counts_in_the_last_steps_alone(
    crops: VariedCrops, teacher: StageStatistics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stagewise, "descend", lambda *_, **__: None)
    losses: dict[float, list[float]] = {0.0: [], 1e6: []}
    for weight, found in losses.items():
        monkeypatch.setattr(stagewise, "REACH_WEIGHT", weight)
        distill_stagewise(_student(), teacher, crops, SPEC, 0, lambda _, __, loss, found=found: found.append(loss))
    without, with_it = losses.values()
    first = STEPS - SPEC.reach_steps
    assert with_it[:first] == without[:first]
    assert with_it[first] > without[first] + 1
    assert all(more >= less for more, less in zip(with_it[first:], without[first:], strict=True))


def test_a_student_ends_as_the_mean_of_before_and_after_its_last_steps(
    crops: VariedCrops, teacher: StageStatistics
) -> None:
    student = _student()
    kept: dict[int, list[torch.Tensor]] = {}

    def keep(step: int, *_: object) -> None:
        kept[step] = [parameter.detach().clone() for parameter in student.parameters()]

    distill_stagewise(student, teacher, crops, SPEC, 0, keep)
    assert any(not torch.equal(before, after) for before, after in zip(kept[16], kept[STEPS], strict=True))
    for before, after, found in zip(kept[16], kept[STEPS], student.parameters(), strict=True):
        assert torch.allclose(found, (before + after) / 2, atol=1e-7)


@pytest.mark.parametrize("last", [3, 7, 8, 12, 17])
def test_a_stopped_run_ends_with_the_weights_of_an_unbroken_one(
    crops: VariedCrops, teacher: StageStatistics, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, last: int
) -> None:
    monkeypatch.setattr(stagewise, "CHECKPOINT_EVERY", 1)

    def stop(step: int, steps: int, loss: float) -> None:
        assert steps == STEPS
        if step > last:
            raise KeyboardInterrupt

    unbroken, resumed, path = _student(), _student(), tmp_path / "checkpoint.safetensors"
    distill_stagewise(unbroken, teacher, crops, SPEC, 0, lambda *_: None)
    with pytest.raises(KeyboardInterrupt):
        distill_stagewise(_student(), teacher, crops, SPEC, 0, stop, checkpoint=path)
    steps: list[int] = []
    distill_stagewise(resumed, teacher, crops, SPEC, 0, lambda step, *_: steps.append(step), checkpoint=path)
    assert steps == list(range(last + 1, STEPS + 1))
    for name, value in unbroken.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


def _recipe() -> Recipe:
    return Recipe(
        schema_version=1,
        name="staged",
        student="hirqa-s",
        start=RANDOM,
        float_stage=SPEC,
        qat_stage=QatStage(steps=0, crop_size=SIDE),
        data=SynthesisSpec(crop_size=SIDE, metrics=()),
    )


def test_a_recipe_with_staged_steps_makes_a_student_whose_head_is_solved(
    data: SyntheticSet, teacher: StageStatistics, tmp_path: Path
) -> None:
    stages: dict[str, int] = {}
    made = make_float_student(
        _recipe(),
        data,
        TeacherSource(teacher, "teacher", "sha"),
        tmp_path,
        lambda stage, done, *_: stages.update({stage: done}),
    )
    assert stages == {"asking the teacher": 2, "distilling": STEPS, "solving the head": 2 * VERSIONS}
    assert not [*tmp_path.rglob("maps*.npy")]  # gigabytes that nobody would read
    again = make_float_student(_recipe(), data, TeacherSource(teacher, "teacher", "sha"), tmp_path, lambda *_: None)
    assert all(
        torch.equal(value, again.network.state_dict()[name]) for name, value in made.network.state_dict().items()
    )


def test_a_teacher_that_does_not_tell_its_stages_is_refused(data: SyntheticSet, tmp_path: Path) -> None:
    mute = TeacherSource(HiRQA(18).eval(), "hirqa-s", "sha")
    with pytest.raises(InvalidInput, match="tells what it sees at each stage"):
        make_float_student(_recipe(), data, mute, tmp_path, lambda *_: None)
