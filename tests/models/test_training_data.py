"""Training pictures, their split and their batches: seeded, cached, a function of the step."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from edge_iqa.errors import InvalidInput
from edge_iqa.models.degradations import Step
from edge_iqa.models.prompts import UNDISTORTED, structured_prompt
from edge_iqa.models.synthesis import find_photographs
from edge_iqa.models.training_batches import ContentBatches, batch_loader, chosen_rows
from edge_iqa.models.training_data import (
    TrainingSet,
    draw_versions,
    make_training_set,
    rank_targets,
    split_photographs,
)
from edge_iqa.models.training_recipe import DataSpec

SPEC = DataSpec(crop_size=64, chains=2, levels=(1, 3, 5), compositions=1, metrics=("mdsi",), similarity="fsim")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def data(twenty_photographs: Path, cache: Path) -> TrainingSet:
    return make_training_set(find_photographs(twenty_photographs)[:4], SPEC, 0, cache)


def test_versions_are_pristine_then_series_then_mixtures() -> None:
    plan = draw_versions(np.random.default_rng(1), SPEC)
    assert len(plan) == SPEC.versions == 8
    assert plan[0] == ()
    for start in (1, 4):
        series = plan[start : start + 3]
        assert [steps[0].level for steps in series] == [1, 3, 5]
        assert len({(steps[0].name, steps[0].seed) for steps in series}) == 1


def test_a_series_of_several_steps_takes_different_groups_and_rises_together() -> None:
    spec = DataSpec(chains=1, steps_per_chain=3, levels=(2, 4), groups=("blur", "noise", "compression"))
    seen = set()
    for seed in range(20):
        weak, strong = draw_versions(np.random.default_rng(seed), spec)[1:]
        assert [step.name for step in weak] == [step.name for step in strong]
        assert {step.level for step in weak} == {2}
        assert {step.level for step in strong} == {4}
        seen.add(len(weak))
    assert seen == {1, 2, 3}


def test_the_set_knows_its_levels_metrics_and_similarities(data: TrainingSet) -> None:
    assert data.open_pictures().shape == (4, 8, 64, 64, 3)
    assert data.levels[0, :7].tolist() == [0, 1, 3, 5, 1, 3, 5]
    assert data.chains[0].tolist() == [-1, 0, 0, 0, 1, 1, 1, -1]
    assert data.similarity is not None
    assert np.array_equal(data.similarity, data.similarity.transpose(0, 2, 1))
    assert (np.diagonal(data.similarity, axis1=1, axis2=2) == 1).all()
    assert (data.metrics["mdsi"].argmax(axis=1) == 0).all()  # the undistorted crop is the best
    assert set(data.seconds) == {"decode", "degrade", "measure", "wall"}
    assert data.seconds["degrade"] > 0


def test_the_same_set_is_read_back_and_another_is_made(
    data: TrainingSet, twenty_photographs: Path, cache: Path
) -> None:
    photographs = find_photographs(twenty_photographs)[:4]
    again = make_training_set(photographs, SPEC, 0, cache)
    assert again.folder == data.folder
    assert again.seconds == {}  # nothing was made
    for spec, seed in ((SPEC, 1), (dataclasses.replace(SPEC, chains=1), 0)):
        other = make_training_set(photographs[:2], spec, seed, cache)
        assert other.folder != data.folder


def test_worker_processes_make_the_same_pictures(data: TrainingSet, twenty_photographs: Path, tmp_path: Path) -> None:
    other = make_training_set(find_photographs(twenty_photographs)[:4], SPEC, 0, tmp_path, workers=2)
    assert np.array_equal(other.open_pictures(), data.open_pictures())
    assert other.steps == data.steps


def test_targets_fall_inside_every_series(data: TrainingSet) -> None:
    targets = rank_targets(data, ("mdsi",))
    assert (np.diff(targets[:, 1:4], axis=1) <= 0).all()
    assert (np.diff(targets[:, 4:7], axis=1) <= 0).all()
    assert 0 <= targets.min() < targets.max() <= 1


def test_the_split_is_by_file_seeded_and_never_empty() -> None:
    paths = [Path(f"{index}.png") for index in range(20)]
    trained, held_out = split_photographs(paths, 0.2, 0)
    assert len(held_out) == 4
    assert sorted(trained + held_out) == sorted(paths)
    assert split_photographs(paths, 0.2, 0) == (trained, held_out)
    assert split_photographs(paths, 0.2, 1)[1] != held_out
    assert [len(part) for part in split_photographs(paths[:2], 0.9, 0)] == [1, 1]
    with pytest.raises(InvalidInput, match="cannot be split"):
        split_photographs(paths[:1], 0.5, 0)


def test_every_row_comes_once_before_any_comes_again() -> None:
    drawn = [row for step in range(10) for row in chosen_rows(7, 3, step, seed=5)]
    for epoch in range(4):
        assert sorted(drawn[7 * epoch : 7 * epoch + 7]) == list(range(7))
    assert chosen_rows(7, 3, 4, seed=5) == drawn[12:15]
    assert drawn[:7] != drawn[7:14]


def batches(data: TrainingSet, **options: int) -> ContentBatches:
    targets = rank_targets(data, ("mdsi",))
    return ContentBatches(data, steps=6, contents=2, window=48, seed=3, extra={"targets": targets}, **options)


def test_a_batch_depends_on_its_step_alone(data: TrainingSet) -> None:
    forward = list(batch_loader(batches(data), 0, 0))
    late = list(batch_loader(batches(data), 4, 0))
    assert len(forward) == 6
    assert len(late) == 2
    for one, other in zip(forward[4:], late, strict=True):
        assert all(torch.equal(one[key], other[key]) for key in one)
    assert not torch.equal(forward[0]["pictures"], forward[1]["pictures"])


def test_a_batch_holds_what_belongs_to_its_rows(data: TrainingSet) -> None:
    batch = batches(data)[0]
    assert batch["pictures"].shape == (2, 8, 48, 48, 3)
    row = int(batch["contents"][0])
    assert torch.equal(batch["targets"][0], torch.from_numpy(rank_targets(data, ("mdsi",))[row]))
    assert data.similarity is not None
    assert torch.equal(batch["similarity"][0], torch.from_numpy(data.similarity[row]))
    whole = torch.from_numpy(np.array(data.open_pictures()[row, 2]))
    cut = batch["pictures"][0, 2]
    places = [
        (top, left, mirrored)
        for top in range(17)
        for left in range(17)
        for mirrored in (False, True)
        if torch.equal(_window(whole, top, left, mirrored), cut)
    ]
    assert len(places) == 1
    assert torch.equal(
        _window(torch.from_numpy(np.array(data.open_pictures()[row, 5])), *places[0]), batch["pictures"][0, 5]
    )


def _window(picture: torch.Tensor, top: int, left: int, mirrored: bool) -> torch.Tensor:
    cut = picture[top : top + 48, left : left + 48]
    return cut.flip(1) if mirrored else cut


def test_processes_share_a_step_without_overlap(data: TrainingSet) -> None:
    whole = batches(data)[2]["contents"].tolist()
    parts = [batches(data, process=index, processes=2)[2]["contents"].tolist() for index in range(2)]
    assert sorted(parts[0] + parts[1]) == sorted(whole)
    assert not set(parts[0]) & set(parts[1])


def test_prompts_say_kind_and_severity() -> None:
    assert structured_prompt(()) == UNDISTORTED
    steps = (Step("haze", 2, 0), Step("sensornoise", 4, 1))
    assert structured_prompt(steps) == "a photo with slight fog and strong camera noise"
