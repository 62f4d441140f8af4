"""Attention is softened where its logits lie far apart, and nowhere else."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, fx, nn

from edge_iqa.models.hirqa import HEADS, HIRQA_MEAN, HIRQA_STD, HiRQA
from edge_iqa.models.lite import HirqaSLite
from edge_iqa.models.synthesis import SyntheticSet
from edge_iqa.quantize.attention import soften
from edge_iqa.quantize.batches import Normalisation
from edge_iqa.quantize.bounds import bounded
from edge_iqa.quantize.prepare import fold_batch_norm
from edge_iqa.quantize.recipe import BoundStage

pytestmark = pytest.mark.usefixtures("one_thread")
SIDE = 64
SHARP_HEADS = 5


@pytest.fixture(scope="module")
def pictures() -> list[Tensor]:
    """Return two batches of noise."""
    return [torch.randn(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(seed)) for seed in (1, 2)]


@pytest.fixture
def student(pictures: list[Tensor]) -> fx.GraphModule:
    """Return a random HiRQA-S whose heads' logits deviate by 1, the first ones' by 20."""
    torch.manual_seed(5)
    network = fold_batch_norm(HiRQA(18).eval())
    wanted = torch.ones(HEADS)
    wanted[:SHARP_HEADS] = 20.0
    query = network.get_submodule("global_pool_quality.q_proj")
    assert isinstance(query, nn.Linear)
    with torch.no_grad():
        factor = wanted / deviations(network, pictures)
        query.weight.copy_((query.weight.view(HEADS, -1) * factor[:, None]).view_as(query.weight))
        query.bias.copy_((query.bias.view(HEADS, -1) * factor[:, None]).view_as(query.bias))
    return network


class _Weights(fx.Interpreter):
    """Runs a network and keeps what its attention weighs, before and after the softmax."""

    def call_function(self, target: object, args: tuple[Tensor, ...], kwargs: dict[str, object]) -> object:
        out = super().call_function(target, args, kwargs)  # type: ignore[arg-type]
        if target is torch.softmax:
            self.logits, self.weights = args[0], out
        return out


@torch.no_grad()
def deviations(network: fx.GraphModule, pictures: list[Tensor]) -> Tensor:
    """Return the deviation of each head's logits over positions, the mean over ``pictures``."""
    found = []
    for batch in pictures:
        run = _Weights(network)
        run.run(batch)
        found.append(run.logits.squeeze(2).std(-1, correction=0))
    return torch.cat(found).mean(0)


def positions(network: fx.GraphModule, batch: Tensor) -> Tensor:
    """Return how many positions each head reads, ``(N, heads)``: one over the summed squares of its weights."""
    run = _Weights(network)
    run.run(batch)
    assert isinstance(run.weights, Tensor)
    return 1 / run.weights.squeeze(2).square().sum(-1)


@torch.no_grad()
def test_heads_whose_logits_lie_far_apart_are_softened(student: fx.GraphModule, pictures: list[Tensor]) -> None:
    before = positions(student, pictures[0])
    soften(student, pictures, 4.0)
    found = deviations(student, pictures)
    assert found[:SHARP_HEADS].numpy() == pytest.approx(4.0, rel=1e-3)
    assert found[SHARP_HEADS:].numpy() == pytest.approx(1.0, rel=1e-3)
    after = positions(student, pictures[0])
    assert bool((after[:, :SHARP_HEADS] > before[:, :SHARP_HEADS]).all())
    assert torch.allclose(after[:, SHARP_HEADS:], before[:, SHARP_HEADS:], rtol=1e-3)


@torch.no_grad()
def test_what_needs_no_softening_stays_as_it_is(student: fx.GraphModule, pictures: list[Tensor]) -> None:
    for network in (student, fold_batch_norm(HirqaSLite().eval())):
        before = {name: value.clone() for name, value in network.state_dict().items()}
        soften(network, pictures, 30.0)
        assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_the_stage_that_bounds_softens_a_copy(
    student: fx.GraphModule, pictures: list[Tensor], noise_set: SyntheticSet
) -> None:
    stage = BoundStage(deviations=4.5, pictures=8, crop_size=SIDE)
    pixels = Normalisation(HIRQA_MEAN, HIRQA_STD)
    before = deviations(student, pictures)
    sharp = bounded(student, pixels, noise_set, stage, 0, lambda *_: None)
    soft = bounded(student, pixels, noise_set, replace(stage, attention_deviation=0.5), 0, lambda *_: None)
    assert torch.equal(deviations(student, pictures), before)
    softer = deviations(soft, pictures) < 0.5 * deviations(sharp, pictures)
    assert bool(softer[:SHARP_HEADS].all())
