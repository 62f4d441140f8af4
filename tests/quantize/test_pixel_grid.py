"""Pixels on one grid: the same network but for its border, and nothing left for rounding to change."""

from __future__ import annotations

import pytest
import torch
from torch import fx, nn

from edge_iqa.models.hirqa import HiRQA
from edge_iqa.models.lite import HirqaSLite
from edge_iqa.quantize.batches import Normalisation
from edge_iqa.quantize.fake_quantization import ActivationFakeQuant
from edge_iqa.quantize.pixel_grid import PixelGrid, pixel_grid, take_exact_pixels
from edge_iqa.quantize.prepare import fold_batch_norm, prepare

COLOURS = Normalisation((0.481, 0.458, 0.408), (0.290, 0.295, 0.300))
PICTURES = torch.randint(0, 256, (2, 32, 32, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def convolution(*, bias: bool, padding: int) -> fx.GraphModule:
    torch.manual_seed(0)
    return fx.symbolic_trace(nn.Sequential(nn.Conv2d(3, 8, 7, 2, padding, bias=bias), nn.ReLU()).eval())


@pytest.mark.parametrize("bias", [True, False])
def test_away_from_the_border_it_computes_the_same(bias: bool) -> None:
    network = convolution(bias=bias, padding=3)
    with torch.no_grad():
        before = network(COLOURS(PICTURES))
        pixels = take_exact_pixels(network, COLOURS)
        after = network(pixels(PICTURES))
    inside = (..., slice(2, -2), slice(2, -2))
    torch.testing.assert_close(after[inside], before[inside], atol=1e-5, rtol=1e-4)
    assert (after - before).abs().max() > 1e-3  # the padding is another grey


def test_without_padding_it_computes_the_same_everywhere() -> None:
    network = convolution(bias=True, padding=0)
    with torch.no_grad():
        before = network(COLOURS(PICTURES))
        pixels = take_exact_pixels(network, COLOURS)
        torch.testing.assert_close(network(pixels(PICTURES)), before, atol=1e-5, rtol=1e-4)


def test_rounding_leaves_all_256_values_of_hirqa_as_they_are() -> None:
    network = fold_batch_norm(HiRQA(18))
    pixels = take_exact_pixels(network, Normalisation(HiRQA.mean, HiRQA.std))
    grid = pixel_grid(pixels.mean, pixels.std)
    assert grid == PixelGrid(pytest.approx(1 / 128), -1)
    rounder = prepare(network, pixels=grid).activations.q0
    assert isinstance(rounder, ActivationFakeQuant)
    values = pixels(torch.arange(256, dtype=torch.uint8).view(1, 16, 16, 1).expand(-1, -1, -1, 3))
    torch.testing.assert_close(rounder(values), values, atol=1e-6, rtol=0)


def test_pixels_on_a_grid_and_pixels_that_no_convolution_reads_are_left_alone() -> None:
    lite = HirqaSLite().eval()
    wanted = Normalisation(lite.mean, lite.std)
    assert take_exact_pixels(fold_batch_norm(lite), wanted) is wanted
    network = fx.symbolic_trace(nn.Sequential(nn.ReLU(), nn.Conv2d(3, 4, 3)))
    weight = network.get_parameter("1.weight").clone()
    assert take_exact_pixels(network, COLOURS) is COLOURS
    assert torch.equal(network.get_parameter("1.weight"), weight)
