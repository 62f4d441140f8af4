"""Dead channels take copies of those that rounding hurts: the same function, less of its rounding."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, fx, nn

from edge_iqa.models.lite import HirqaSLite
from edge_iqa.quantize.prepare import fold_batch_norm, prepare
from edge_iqa.quantize.spare_channels import share_rounding

LEVELS = 255
SENSITIVE, DEAD = 1, (3, 5)


def _chain(activation: type[nn.Module] = nn.ReLU6, dead_bias: float = -1.0) -> fx.GraphModule:
    """Smooth first convolution; the depthwise one takes differences, twenty times as strong in one channel."""
    torch.manual_seed(3)
    first = nn.Conv2d(3, 6, 3, stride=2, padding=1)
    depthwise = nn.Conv2d(6, 6, 3, padding=1, groups=6)
    with torch.no_grad():
        first.weight.abs_().div_(first.weight.abs().sum((1, 2, 3), keepdim=True)).mul_(0.8)
        first.bias.fill_(3.0)
        first.weight[list(DEAD)] = 0.0
        first.bias[list(DEAD)] = dead_bias
        depthwise.weight.sub_(depthwise.weight.mean((2, 3), keepdim=True))
        depthwise.weight[SENSITIVE] *= 20
        depthwise.bias.fill_(3.0)
    network = nn.Sequential(first, activation(), depthwise, nn.ReLU6(), nn.Conv2d(6, 4, 1))
    return fx.symbolic_trace(network)


def _rounded(network: fx.GraphModule, x: Tensor) -> Tensor:
    modules = list(network.children())
    step = 6 / LEVELS
    between = torch.clamp(torch.round(modules[1](modules[0](x)) / step), 0, LEVELS) * step
    return modules[4](modules[3](modules[2](between)))


@torch.no_grad()
def test_the_function_stays_and_its_rounding_falls() -> None:
    x = 0.1 * torch.randn(4, 3, 64, 64)
    network, shared = _chain(), _chain()
    assert share_rounding(shared, LEVELS) == {"0": {SENSITIVE: 3}}
    wanted = network(x)
    assert torch.allclose(shared(x)[:, :, 1:-1, 1:-1], wanted[:, :, 1:-1, 1:-1], atol=1e-5)
    assert torch.allclose(shared(x), wanted, atol=0.05)  # at the border the copies' offsets meet zeros
    before, after = ((_rounded(one, x) - wanted).square().mean().sqrt() for one in (network, shared))
    assert after < 0.45 * before


@torch.no_grad()
def test_what_a_dead_channel_added_is_kept() -> None:
    network, shared = _chain(), _chain()
    for one in (network, shared):
        one.get_submodule("2").bias[list(DEAD)] = torch.tensor([2.0, 9.0])  # beyond the end of ReLU6
    share_rounding(shared, LEVELS)
    x = 0.1 * torch.randn(1, 3, 32, 32)
    assert torch.allclose(shared(x)[:, :, 1:-1, 1:-1], network(x)[:, :, 1:-1, 1:-1], atol=1e-5)


def _all_dead() -> fx.GraphModule:
    network = _chain()
    with torch.no_grad():
        network.get_submodule("0").weight.zero_()
        network.get_submodule("0").bias.fill_(-1.0)
    return network


@pytest.mark.parametrize(
    "network",
    [
        _chain(nn.ReLU),
        _chain(dead_bias=0.5),
        _all_dead(),
        fx.symbolic_trace(nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU6())),
    ],
)
def test_other_layers_are_left_alone(network: fx.GraphModule) -> None:
    before = {name: value.clone() for name, value in network.state_dict().items()}
    assert share_rounding(network, LEVELS) == {}
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


@torch.no_grad()
def test_the_shipped_student_has_channels_to_spare() -> None:
    student = HirqaSLite().eval()
    student.load_shipped()
    shared = fold_batch_norm(student)
    copies = share_rounding(shared, LEVELS)["trunk.stem.0"]
    assert sum(number - 1 for number in copies.values()) == 4
    assert max(copies.values()) == 3
    x = torch.rand(2, 3, 128, 128) * 2 - 1
    assert torch.allclose(shared(x), student(x), atol=0.01)


def test_preparing_shares_in_steps_of_its_own_levels() -> None:
    student = HirqaSLite().eval()
    student.load_shipped()
    plain = fold_batch_norm(student).get_submodule("trunk.stem.0").bias.detach()
    left = prepare(student, spare_channels=False).get_submodule("trunk.stem.0").bias
    assert torch.equal(plain, left)
    moved = []
    for signed in (False, True):
        bias = prepare(student, signed=signed).get_submodule("trunk.stem.0").bias.detach()
        live = plain > 0
        moved.append(float((bias - plain)[live].abs().max()))
    assert moved[1] == pytest.approx(moved[0] * 255 / 127, rel=1e-3)
