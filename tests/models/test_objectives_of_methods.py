"""The losses of every method: values computed by hand, and what each must and must not react to."""

from __future__ import annotations

import math

import pytest
import torch

from edge_iqa.models.objectives import grepq, hirqa, qualiclip, rankiqa, sfd_iqa


def test_embedding_distance_by_hand() -> None:
    features = torch.tensor([[2.0, 0.0], [0.0, 3.0], [-1.0, 0.0]])  # cosines 0, -1, 0 → distances 0.5, 1, 0.5
    differences = torch.tensor([[0.0, 0.2, 1.0], [0.2, 0.0, 0.0], [1.0, 0.0, 0.0]])
    counted = torch.ones(3, 3).triu(1).bool()
    loss = hirqa.embedding_distance_loss(features, differences, counted)
    assert loss == pytest.approx((0.3 + 0.0 + 0.5) / 3)
    counted[0, 1] = False
    assert hirqa.embedding_distance_loss(features, differences, counted) == pytest.approx(0.25)


def test_text_alignment_by_hand_and_its_minimum() -> None:
    prompts = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]])
    features = torch.tensor([[5.0, 0.0], [0.0, 1.0]])
    aligned = hirqa.text_alignment_loss(features, prompts, torch.tensor([0, 1]), temperature=1.0)
    assert aligned == pytest.approx(math.log(1 + math.exp(-1)))  # the third prompt does not occur and is no choice
    swapped = hirqa.text_alignment_loss(features, prompts, torch.tensor([1, 0]), temperature=1.0)
    assert swapped == pytest.approx(math.log(1 + math.exp(1)))


def test_pictures_with_one_prompt_are_no_negatives_of_each_other() -> None:
    prompts = torch.tensor([[1.0, 0.0]])
    features = torch.tensor([[1.0, 0.0], [1.0, 0.1]])
    loss = hirqa.text_alignment_loss(features, prompts, torch.tensor([0, 0]), temperature=0.1)
    assert loss < 0.75  # -log(1/2) of sharing the prompt, halved with the other direction, and little more


def test_pairs_stay_within_content_and_type_and_leave_mixtures_out() -> None:
    contents = torch.tensor([0, 0, 0, 0, 0, 1])
    types = torch.tensor([-1, 0, 0, 1, -1, -1])
    levels = torch.tensor([0, 1, 3, 2, 4, 0])
    pairs = {tuple(pair) for pair in rankiqa.same_type_pairs(contents, types, levels).nonzero().tolist()}
    assert pairs == {(0, 1), (0, 2), (0, 3), (1, 2)}


def test_rankiqa_by_hand_and_its_gradient() -> None:
    scores = torch.tensor([1.0, 0.5, 2.0], requires_grad=True)
    better = torch.tensor([[False, True, True], [False, False, True], [False, False, False]])
    loss = rankiqa.rankiqa_loss(scores, better, margin=1.0)
    assert float(loss.detach()) == pytest.approx((0.5 + 2.0 + 2.5) / 3)
    loss.backward()  # each violated pair pulls its better picture up by one and its worse one down, over N
    assert scores.grad is not None
    assert scores.grad.tolist() == pytest.approx([-2 / 3, 0.0, 2 / 3])


def test_rankiqa_equals_the_pair_by_pair_form() -> None:
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(7, generator=generator)
    levels = torch.arange(7)
    better = rankiqa.same_type_pairs(torch.zeros(7, dtype=torch.int64), torch.zeros(7, dtype=torch.int64), levels)
    slow = sum(max(0.0, 1 - float(scores[i] - scores[j])) for i in range(7) for j in range(i + 1, 7)) / 7
    assert float(rankiqa.rankiqa_loss(scores, better)) == pytest.approx(slow, rel=1e-5)


def test_score_loss_is_half_the_mean_square() -> None:
    assert rankiqa.score_loss(torch.tensor([1.0, 2.0]), torch.tensor([0.0, 4.0])) == pytest.approx(1.25)


def test_positive_weights_at_the_ends() -> None:
    weights = grepq.positive_weights(torch.tensor([0.0, 0.5, 1.0]))
    assert weights.tolist() == pytest.approx([0.0, 0.4, 1.0])


def test_quality_contrast_by_hand() -> None:
    # Two versions, embeddings equal in both samplings and orthogonal to each other, similarity 0.5: α = 0.4.
    views = torch.eye(2)[None]
    similarity = torch.tensor([[[1.0, 0.5], [0.5, 1.0]]])
    loss = grepq.quality_contrastive_loss(views, views, similarity, temperature=0.5)
    one = -math.log((math.exp(2) + 0.4) / (math.exp(2) + 1))
    assert float(loss) == pytest.approx(2 * one, rel=1e-5)


def test_quality_contrast_wants_similar_pictures_close() -> None:
    similarity = torch.tensor([[[1.0, 0.95, 0.1], [0.95, 1.0, 0.1], [0.1, 0.1, 1.0]]])
    right = torch.tensor([[[1.0, 0.0], [1.0, 0.1], [-1.0, 0.0]]])
    wrong = torch.tensor([[[1.0, 0.0], [-1.0, 0.1], [1.0, 0.1]]])
    assert grepq.quality_contrastive_loss(right, right, similarity) < grepq.quality_contrastive_loss(
        wrong, wrong, similarity
    )


def test_group_contrast_by_hand() -> None:
    embeddings = torch.tensor([[1.0, 0.0], [0.0, 1.0], [2.0, 0.0], [0.0, 5.0], [0.7, 0.7]])
    quality = torch.tensor([0.9, 0.1, 0.8, 0.2, 0.5])  # the middle one is in no group
    loss = grepq.group_contrastive_loss(embeddings, quality, group_size=2, temperature=0.5)
    assert float(loss) == pytest.approx(-math.log(math.exp(2) / (math.exp(2) + 2)), rel=1e-5)
    with pytest.raises(ValueError, match="do not fit"):
        grepq.group_contrastive_loss(embeddings, quality, group_size=3)


def test_niqe_distance_by_hand() -> None:
    mean, covariance = torch.tensor([[3.0, 4.0]]), torch.eye(2)[None]
    distance = grepq.niqe_distance(torch.zeros(2), torch.eye(2), mean, covariance)
    assert float(distance[0]) == pytest.approx(5 / math.sqrt(1.001), rel=1e-5)
    assert grepq.low_level_score(torch.tensor(0.0)) == 0.5
    assert grepq.low_level_score(torch.tensor(10.0)) > grepq.low_level_score(torch.tensor(20.0)) > 0
    assert grepq.high_level_score(torch.tensor(0.3), torch.tensor(0.2)) == pytest.approx(1 / (1 + math.exp(-1)))


def test_level_loss_wants_every_earlier_level_higher_by_the_margin() -> None:
    falling = torch.tensor([0.5, 0.4, 0.3])
    assert qualiclip.level_loss(falling, margin=0.1) == pytest.approx(0, abs=1e-6)
    assert qualiclip.level_loss(falling, margin=0.15) == pytest.approx(0.1 / 3)  # two neighbours miss by 0.05
    assert qualiclip.level_loss(-falling, margin=0.0) == pytest.approx((0.1 + 0.1 + 0.2) / 3)


def test_consistency_allows_the_margin() -> None:
    first, second = torch.tensor([0.3, 0.3]), torch.tensor([0.31, 0.2])
    assert qualiclip.consistency_loss(first, second, margin=0.02) == pytest.approx(0.04)


def test_prompt_score_is_the_mean_softmax_of_the_pairs() -> None:
    positive, negative = torch.tensor([[0.02, 0.01]]), torch.tensor([[0.01, 0.01]])
    expected = (math.e / (1 + math.e) + 0.5) / 2
    assert float(qualiclip.prompt_score(positive, negative)) == pytest.approx(expected, rel=1e-5)
    assert len(qualiclip.PROMPT_PAIRS) == 7


def test_discriminators_by_hand() -> None:
    maps = torch.tensor([[[[0.0, 0.0]]], [[[1.0, -1.0]]]])
    undistorted = torch.tensor([True, False])
    softplus = [math.log(1 + math.exp(value)) for value in (0.0, 1.0, -1.0)]
    expected = softplus[0] + (softplus[1] + softplus[2]) / 2
    assert float(sfd_iqa.feature_loss(maps, undistorted)) == pytest.approx(expected, rel=1e-5)
    margins = torch.tensor([[1.0], [1.0]])
    assert float(sfd_iqa.prompt_pair_loss(margins, undistorted)) == pytest.approx(
        (softplus[2] + softplus[1]) / 2, rel=1e-5
    )
    assert sfd_iqa.fused_logit(maps, margins).tolist() == [1.0, 1.0]
