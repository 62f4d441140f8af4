"""HiRQA's losses and the targets made without human scores."""

from __future__ import annotations

import numpy as np
import torch

from edge_iqa.models.degradations import Step
from edge_iqa.models.objectives.hirqa import pair_of_pairs_loss, ranking_loss
from edge_iqa.models.synthesis import VERSIONS, SynthesisSpec, SyntheticSet, plan_versions
from edge_iqa.models.teacher import quality_targets


def test_ranking_loss_is_zero_for_the_target_itself_and_positive_for_a_swap() -> None:
    targets = torch.tensor([0.1, 0.4, 0.9])
    assert ranking_loss(targets, targets) == 0
    assert ranking_loss(targets.flip(0), targets) > 0.1


def test_ranking_loss_by_hand() -> None:
    scores, targets = torch.tensor([0.5, 0.5]), torch.tensor([0.0, 1.0])
    assert torch.isclose(ranking_loss(scores, targets, alpha=0.8), torch.tensor(0.8))


def test_pair_of_pairs_sees_a_wrong_scale_that_ranking_alone_accepts() -> None:
    targets = torch.tensor([0.0, 0.1, 0.5, 1.0])
    right_order_wrong_gaps = torch.tensor([0.0, 0.6, 0.65, 1.0])
    generator = torch.Generator().manual_seed(0)
    aligned = pair_of_pairs_loss(targets, targets, generator=generator)
    crooked = pair_of_pairs_loss(right_order_wrong_gaps, targets, generator=generator)
    assert aligned == 0
    assert crooked > 0.02


def test_gradient_moves_scores_towards_the_order() -> None:
    scores = torch.tensor([0.6, 0.4], requires_grad=True)
    ranking_loss(scores, torch.tensor([0.2, 0.8])).backward()
    assert scores.grad is not None
    assert scores.grad[0] > 0 > scores.grad[1]


def test_plan_is_pristine_then_two_rising_series_then_compositions() -> None:
    plan = plan_versions(np.random.default_rng(3))
    assert len(plan) == VERSIONS
    assert plan[0] == ()
    for start in (1, 4):
        series = [steps[0] for steps in plan[start : start + 3]]
        assert len({step.name for step in series}) == 1
        assert len({step.seed for step in series}) == 1
        assert series[0].level < series[1].level < series[2].level
    assert plan[1][0].name != plan[4][0].name


def test_targets_never_rise_inside_a_series() -> None:
    rng = np.random.default_rng(0)
    series = np.array([[-1, 0, 0, 0] + [-1] * (VERSIONS - 4)] * 3)
    data = SyntheticSet(
        pictures=np.zeros((3, VERSIONS, 1, 1, 3), np.uint8),
        series=series,
        levels=np.zeros_like(series),
        steps=[[(Step("gaublur", 1, 0),)] * VERSIONS] * 3,
        metrics={"mdsi": rng.random((3, VERSIONS)).astype(np.float32)},
        photographs=["a", "b", "c"],
        spec=SynthesisSpec(),
        data_sha256="",
    )
    targets = quality_targets(data, ("mdsi",))
    assert (np.diff(targets[:, 1:4], axis=1) <= 0).all()
    assert targets.min() >= 0
    assert targets.max() <= 1
    untouched = targets[:, [0, *range(4, VERSIONS)]]
    assert (
        np.argsort(untouched.ravel()) == np.argsort(data.metrics["mdsi"][:, [0, *range(4, VERSIONS)]].ravel())
    ).all()
