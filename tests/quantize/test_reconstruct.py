"""Layers rebuilt one by one: on the grid, nearer than plain rounding, every channel's mean kept."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, fx, nn

from edge_iqa.models.efficientnet_lite import SameConv2d
from edge_iqa.models.lite import HirqaSLite
from edge_iqa.quantize.fake_quantization import ActivationFakeQuant, QuantConv2d
from edge_iqa.quantize.prepare import prepare
from edge_iqa.quantize.ranges import set_ranges
from edge_iqa.quantize.reconstruct import _moments, _solve, reconstruct


def correlated(channels: int, seed: int) -> Tensor:
    """Return smooth maps ``(4, channels, 24, 24)`` whose channels have much in common, as real features do."""
    generator = torch.Generator().manual_seed(seed)
    few = torch.randn(4, 3, 24, 24, generator=generator)
    mixing = torch.randn(channels, 3, generator=torch.Generator().manual_seed(7))
    mixed = torch.einsum("oc,nchw->nohw", mixing, few)
    return nn.functional.avg_pool2d(mixed, 3, 1, 1) + 0.1 * torch.randn(4, channels, 24, 24, generator=generator) + 0.4


def layer_of(network: nn.Module) -> tuple[fx.GraphModule, QuantConv2d]:
    prepared = prepare(nn.Sequential(network), weight_bits=7)
    layer = prepared.get_submodule("0")
    assert isinstance(layer, QuantConv2d)
    return prepared, layer


@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.Conv2d(16, 8, 1),
        lambda: SameConv2d(16, 16, 5, stride=2, groups=16),
        lambda: SameConv2d(16, 6, 3, stride=2),
    ],
    ids=["pointwise", "depthwise", "full"],
)
def test_a_layer_is_nearer_to_its_float_output_than_by_plain_rounding(make: Callable[[], nn.Conv2d]) -> None:
    torch.manual_seed(0)
    conv = make()
    seen, other = correlated(16, 0), correlated(16, 1)
    prepared, layer = layer_of(conv)
    layer.weight_max = 3  # so coarse that rounding of weights is what there is to see
    layer.weight_scale.copy_(layer.scale_of(layer.weight))
    with torch.no_grad():
        prepared.get_submodule("activations.q0").largest.fill_(float(seen.abs().max()))
        plain = (layer(other) - conv(other)).square().mean()
    set_ranges(prepared, [seen[:2], seen[2:]])
    reconstruct(prepared, [seen[:2], seen[2:]])
    with torch.no_grad():
        rebuilt = (layer(other) - conv(other)).square().mean()
        means = (layer(seen) - conv(seen)).mean((0, 2, 3))
    assert rebuilt < 0.5 * plain
    assert means.abs().max() < 0.02 * conv(seen).std()
    integers = layer.weight / layer.weight_scale.view(-1, 1, 1, 1)
    assert torch.allclose(integers, integers.round(), atol=1e-3)
    assert integers.abs().max() <= 3.001


def test_a_picture_of_large_values_counts_no_more_than_another() -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(16, 8, 1)
    seen, other = correlated(16, 0), correlated(16, 1)
    strange = 50 * torch.randn(1, 16, 24, 24)
    errors = []
    for pictures in ([seen], [torch.cat([seen, strange])]):
        _, layer = layer_of(conv)
        layer.weight_max = 3
        with torch.no_grad():
            _solve(layer, _moments(layer, pictures, [conv(x) for x in pictures]))
            errors.append(float((layer(other) - conv(other)).square().mean()))
    assert errors[1] < 3 * errors[0]


def test_a_long_tail_is_cut_and_a_short_one_is_not() -> None:
    flat = torch.linspace(-1, 1, 2**16).view(1, 1, 256, 256)
    tailed = flat.clone()
    tailed[0, 0, 0, 0] = 3.0
    for values, least, most in ((flat, 1.0, 1.0), (tailed, 1.0, 2.6)):
        prepared, _ = layer_of(nn.Conv2d(1, 1, 1))
        set_ranges(prepared, [values])
        reconstruct(prepared, [values])
        rounder = prepared.get_submodule("activations.q0")
        assert isinstance(rounder, ActivationFakeQuant)
        assert least - 1e-6 <= float(rounder.largest) <= most


def test_a_whole_student_keeps_its_scores_and_the_way_is_told(student: HirqaSLite) -> None:
    generator = torch.Generator().manual_seed(0)
    pictures = [torch.rand(4, 3, 64, 64, generator=generator) * 2 - 1 for _ in range(3)]
    told: list[tuple[int, int]] = []
    for signed in (False, True):
        prepared = prepare(student, signed=signed)
        set_ranges(prepared, pictures)
        reconstruct(prepared, pictures, lambda done, total: told.append((done, total)))
        with torch.no_grad():
            scores, rounded = (torch.cat([network(x) for x in pictures]) for network in (student, prepared))
        assert torch.corrcoef(torch.stack([scores.ravel(), rounded.ravel()]))[0, 1] > 0.9
    assert told[-1][0] == told[-1][1] == len(told) // 2
