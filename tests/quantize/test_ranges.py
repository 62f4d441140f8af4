"""Tensors that are added share one step: the sum rounds nothing, and leaving a rounding out changes nothing."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, fx, nn

from edge_iqa.quantize import ranges
from edge_iqa.quantize.fake_quantization import ActivationFakeQuant
from edge_iqa.quantize.pixel_grid import PixelGrid
from edge_iqa.quantize.places import is_sum
from edge_iqa.quantize.prepare import prepare
from edge_iqa.quantize.ranges import set_ranges
from edge_iqa.quantize.reconstruct import reconstruct


class _Block(nn.Module):
    """A residual block; its branch spans a twentieth of what goes round it."""

    def __init__(self, after: type[nn.Module] | None) -> None:
        super().__init__()
        self.branch = nn.Conv2d(4, 4, 3, padding=1)
        self.after = after() if after is not None else None
        with torch.no_grad():
            self.branch.weight.mul_(0.05)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.branch(x)
        return out if self.after is None else self.after(out)  # type: ignore[no-any-return]


def _network(after: type[nn.Module] | None, blocks: int = 2) -> nn.Sequential:
    torch.manual_seed(0)
    begin = [nn.Conv2d(3, 4, 3, padding=1)] + ([after()] if after is not None else [])
    return nn.Sequential(*begin, *(_Block(after) for _ in range(blocks)))


def _prepared(network: nn.Module, **options: bool) -> tuple[fx.GraphModule, list[Tensor]]:
    pictures = [torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(seed)) for seed in range(3)]
    prepared = prepare(network.eval(), **options)
    set_ranges(prepared, pictures)
    reconstruct(prepared, pictures)
    return prepared, pictures


def _steps(prepared: fx.GraphModule) -> list[float]:
    return [float(one.scale) for one in prepared.modules() if isinstance(one, ActivationFakeQuant)]


@pytest.mark.parametrize(("after", "signed"), [(None, False), (None, True), (nn.ReLU, True)])
def test_one_step_goes_through_all_blocks(after: type[nn.Module] | None, signed: bool) -> None:
    prepared, _ = _prepared(_network(after), signed=signed)
    pixels, *added = _steps(prepared)
    assert len(added) == 5  # the first convolution, and of each block the branch and the sum
    assert added == pytest.approx([added[0]] * 5, rel=1e-6)
    assert pixels != pytest.approx(added[0], rel=0.01)


def test_what_has_255_levels_does_not_take_the_step_of_what_has_127() -> None:
    prepared, _ = _prepared(_network(nn.ReLU))
    _, *added = _steps(prepared)
    assert len({round(step, 6) for step in added}) == 5


@pytest.mark.parametrize(("after", "signed"), [(None, False), (nn.ReLU, True)])
@torch.no_grad()
def test_a_runtime_that_leaves_out_the_rounding_of_the_branch_gives_the_same(
    after: type[nn.Module] | None, signed: bool
) -> None:
    prepared, pictures = _prepared(_network(after), signed=signed)
    wanted = [prepared(x) for x in pictures]
    for node in list(prepared.graph.nodes):
        if is_sum(node):
            rounding = node.args[1]
            assert isinstance(prepared.get_submodule(str(rounding.target)), ActivationFakeQuant)
            node.replace_input_with(rounding, rounding.args[0])
    prepared.recompile()
    for x, same in zip(pictures, wanted, strict=True):
        found = prepared(x)
        step = _steps(prepared)[-1]
        assert (found - same).abs().max() < 1e-3 * step


def test_a_step_is_wide_enough_for_the_widest_of_them() -> None:
    network = _network(None)
    prepared, pictures = _prepared(network)
    with torch.no_grad():
        drift = max(float((prepared(x) - network(x)).square().mean().sqrt()) for x in pictures)
    assert drift < 2 * _steps(prepared)[-1]


@pytest.mark.parametrize("power", [1, 3], ids=["normal", "heavy tails"])
def test_a_picture_that_reaches_fifty_times_as_far_does_not_set_the_range_of_the_others(power: int) -> None:
    values = torch.randn(32, 4, 16, 16, generator=torch.Generator().manual_seed(0)) ** power
    far = values.clone()
    far[5] *= 50
    prepared = prepare(nn.Sequential(nn.Conv2d(4, 1, 1)))
    set_ranges(prepared, [far])
    rounder = prepared.get_submodule("activations.q0")
    lost = (rounder(values) - values).flatten(1).square().sum(1) / values.flatten(1).square().sum(1)
    assert lost.mean() < 0.05  # 0.17 and 0.38 where the squares of all pictures are added


def test_a_picture_that_reaches_fifty_times_as_far_does_not_set_the_step_of_sums() -> None:
    pictures = [torch.randn(8, 3, 16, 16, generator=torch.Generator().manual_seed(seed)) ** 3 for seed in range(4)]
    far = [*pictures[:-1], torch.cat([pictures[-1][:-1], 50 * pictures[-1][-1:]])]
    steps = []
    for seen in (pictures, far):
        prepared = prepare(_network(None).eval())
        set_ranges(prepared, seen)
        steps.append(_steps(prepared)[1])
    assert steps[1] < 2 * steps[0]


def test_pixels_and_what_relu6_clips_keep_their_own_range() -> None:
    capped, _ = _prepared(_network(nn.ReLU6))
    assert max(float(one.largest) for one in capped.modules() if isinstance(one, ActivationFakeQuant)) <= 6.0

    class Pixels(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 3, 1)

        def forward(self, x: Tensor) -> Tensor:
            return x + self.conv(x)

    grid = PixelGrid(step=1 / 128, zero_point=-1)
    prepared = prepare(Pixels().eval(), pixels=grid)
    set_ranges(prepared, [torch.randn(1, 3, 8, 8)])
    assert _steps(prepared)[0] == pytest.approx(grid.step)


def test_what_is_clipped_counts_more_than_what_is_rounded(monkeypatch: pytest.MonkeyPatch) -> None:
    values = torch.linspace(-1, 1, 4 * 2**14).view(1, 4, 128, 128)
    values[0, 0, 0, 0] = 3.0
    found = []
    for counts in (1.0, ranges.CLIPPED_COUNTS):
        monkeypatch.setattr(ranges, "CLIPPED_COUNTS", counts)
        prepared = prepare(nn.Sequential(nn.Conv2d(4, 1, 1)))
        set_ranges(prepared, [values])
        rounder = prepared.get_submodule("activations.q0")
        assert isinstance(rounder, ActivationFakeQuant)
        found.append(float(rounder.largest))
    assert 1.0 < found[0] < found[1] < 3.0
