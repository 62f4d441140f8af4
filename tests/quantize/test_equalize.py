"""Channels reach equally far, and the network computes what it did."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, fx, nn

from edge_iqa.models.student import STUDENTS
from edge_iqa.quantize.equalize import equalize
from edge_iqa.quantize.prepare import fold_batch_norm, prepare
from edge_iqa.quantize.ranges import set_ranges
from edge_iqa.quantize.reconstruct import reconstruct


@pytest.fixture(autouse=True)
def _without_gradients() -> Iterator[None]:
    with torch.no_grad():
        yield


class _Block(nn.Module):
    """A residual block of a wide, a depthwise and a narrow convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            nn.Conv2d(channels, 12, 1),
            nn.ReLU(),
            nn.Conv2d(12, 12, 3, padding=1, groups=12),
            nn.ReLU6(),
            nn.Conv2d(12, channels, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.branch(x)


class _Network(nn.Module):
    """Two blocks between convolutions; the channels that go through both reach from 1 to 8."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Conv2d(3, 4, 3, padding=1)
        self.blocks = nn.Sequential(_Block(4), _Block(4))
        self.last = nn.Conv2d(4, 5, 1)
        with torch.no_grad():
            for conv in (self.first, *(block.branch[-1] for block in self.blocks)):
                reach = torch.tensor([1.0, 2.0, 4.0, 8.0])
                conv.weight.mul_(reach.view(-1, 1, 1, 1))
                conv.bias.mul_(reach)
            self.last.weight.div_(torch.tensor([1.0, 2.0, 4.0, 8.0]).view(1, -1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.blocks(self.first(x))).mean((2, 3))


def _pictures(count: int = 3, side: int = 16) -> list[Tensor]:
    return [torch.randn(4, 3, side, side, generator=torch.Generator().manual_seed(seed)) for seed in range(count)]


def _traced(network: nn.Module) -> fx.GraphModule:
    return fold_batch_norm(network.eval())


def _reach(network: fx.GraphModule, name: str, pictures: list[Tensor]) -> Tensor:
    seen: list[Tensor] = []
    handle = network.get_submodule(name).register_forward_hook(lambda _, __, out: seen.append(out.abs().amax((2, 3))))
    for batch in pictures:
        network(batch)
    handle.remove()
    return torch.cat(seen).quantile(0.99, 0)


def test_channels_reach_equally_far_and_the_output_stays() -> None:
    network, pictures = _traced(_Network()), _pictures()
    before = network(pictures[0])
    # the first convolution and what both blocks add (one tensor to scale), and the wide convolution of each block
    assert equalize(network, pictures) == 5
    assert torch.allclose(network(pictures[0]), before, atol=1e-5)
    wide = _reach(network, "blocks.0.branch.0", pictures)
    assert float(wide.min()) > 0.3 * float(wide.max())


def test_sums_tie_the_channels_of_all_that_they_add() -> None:
    network, pictures = _traced(_Network()), _pictures()
    before = [network.get_submodule(name).bias.clone() for name in ("first", "blocks.0.branch.4", "blocks.1.branch.4")]
    equalize(network, pictures)
    after = [network.get_submodule(name).bias for name in ("first", "blocks.0.branch.4", "blocks.1.branch.4")]
    factors = [new / old for new, old in zip(after, before, strict=True)]
    assert torch.allclose(factors[0], factors[1])
    assert torch.allclose(factors[0], factors[2])
    assert float(factors[0].max()) > 3  # the narrowest channel reached an eighth as far as the widest


def test_a_layer_may_read_the_channels_that_it_is_added_to() -> None:
    class _Added(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.first, self.branch, self.last = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3, padding=1), nn.Conv2d(4, 2, 1)
            self.first.weight.mul_(torch.tensor([1.0, 2.0, 4.0, 8.0]).view(-1, 1, 1, 1))

        def forward(self, x: Tensor) -> Tensor:
            x = self.first(x)
            return self.last(x + self.branch(x))

    network, pictures = _traced(_Added()), _pictures()
    before = network(pictures[0])
    assert equalize(network, pictures) == 2
    assert torch.allclose(network(pictures[0]), before, atol=1e-5)


def test_relu6_is_not_crossed() -> None:
    network = _traced(_Network())
    before = network.get_submodule("blocks.0.branch.2").bias.clone()
    equalize(network, _pictures())
    assert torch.equal(network.get_submodule("blocks.0.branch.2").bias, before)


def test_what_a_head_reads_is_left_alone() -> None:
    network = _traced(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 14 * 14, 1)))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    assert equalize(network, _pictures()) == 0
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_rounding_costs_less() -> None:
    pictures = _pictures(8)
    errors = []
    for equalized in (False, True):
        network = _traced(_Network())
        wanted = torch.cat([network(batch) for batch in pictures])
        if equalized:
            equalize(network, pictures)
        prepared = prepare(network)
        set_ranges(prepared, pictures)
        reconstruct(prepared, pictures)
        errors.append(float((torch.cat([prepared(batch) for batch in pictures]) - wanted).square().mean()))
    assert errors[1] < 0.6 * errors[0]


@pytest.mark.parametrize(("name", "convolutions"), [("hirqa-s-lite", 11), ("hirqa-s", 17)])
def test_students_score_what_they_did(name: str, convolutions: int) -> None:
    torch.manual_seed(0)
    student = STUDENTS[name]().eval()
    network, pictures = _traced(student), _pictures(1, 64)
    before = network(pictures[0])
    assert equalize(network, pictures) == convolutions
    assert torch.allclose(network(pictures[0]), before, atol=1e-4)
