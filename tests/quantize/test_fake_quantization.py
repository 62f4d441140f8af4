"""Fake quantization: the numbers are those of the integer engines, and the placement is the promised one."""

from __future__ import annotations

import pytest
import torch
from torch import fx, nn

from edge_iqa.models.efficientnet_lite import SameConv2d
from edge_iqa.models.lite import HirqaSLite
from edge_iqa.quantize.fake_quantization import ActivationFakeQuant, QuantConv2d
from edge_iqa.quantize.freeze import freeze
from edge_iqa.quantize.pixel_grid import PixelGrid, pixel_grid
from edge_iqa.quantize.prepare import fold_batch_norm, prepare
from edge_iqa.quantize.ranges import set_ranges
from edge_iqa.quantize.reconstruct import reconstruct


def _rounder(largest: float, *, unsigned: bool = False) -> ActivationFakeQuant:
    rounder = ActivationFakeQuant(unsigned=unsigned)
    rounder.largest.fill_(largest)
    return rounder


def test_activations_land_on_the_symmetric_grid_and_clip_where_int8_ends() -> None:
    out = _rounder(1.27)(torch.tensor([-5.0, -0.004, 0.0, 0.006, 0.333, 5.0]))
    assert torch.allclose(out, torch.tensor([-1.28, 0.0, 0.0, 0.01, 0.33, 1.27]), atol=1e-6)


def test_unsigned_activations_have_255_levels_above_zero() -> None:
    out = _rounder(2.55, unsigned=True)(torch.tensor([0.0, 0.006, 0.333, 2.546, 5.0]))
    assert torch.allclose(out, torch.tensor([0.0, 0.01, 0.33, 2.55, 2.55]), atol=1e-6)


def test_gradient_passes_inside_the_range_and_stops_outside() -> None:
    x = torch.tensor([0.3, 2.0], requires_grad=True)
    _rounder(1.0)(x).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [1.0, 0.0]


@pytest.mark.parametrize(("bits", "largest"), [(7, 63), (8, 127)])
def test_weights_have_one_scale_per_channel_and_the_promised_range(bits: int, largest: int) -> None:
    conv = nn.Conv2d(4, 4, 3)
    quantized = QuantConv2d(conv, bits, paired=False)
    integers = quantized.integer_weight()
    assert integers.dtype == torch.int8
    assert integers.abs().amax((1, 2, 3)).tolist() == [largest] * 4
    restored = integers * quantized.weight_scale.view(-1, 1, 1, 1)
    assert (restored - conv.weight).abs().max() <= quantized.weight_scale.max() / 2 + 1e-7


def _pairs(integers: torch.Tensor) -> torch.Tensor:
    return (integers[:, 0::2].int() + integers[:, 1::2].int()).abs()


def test_weights_that_meet_add_up_to_128_at_most_and_others_reach_127() -> None:
    conv = nn.Conv2d(4, 3, 1, bias=False)
    with torch.no_grad():
        conv.weight.copy_(
            torch.tensor([[1.0, 1.0, 0.1, 0.1], [1.0, 0.0, -1.0, 0.0], [1.0, -1.0, 0.5, 0.4]])[..., None, None]
        )
    quantized = QuantConv2d(conv)
    assert quantized.integer_weight().flatten(1).tolist() == [[64, 64, 6, 6], [127, 0, -127, 0], [127, -127, 64, 51]]
    assert torch.allclose(quantized(torch.ones(1, 4, 1, 1)).flatten(), torch.tensor([2.2, 0.0, 0.9]), atol=0.02)


@pytest.mark.parametrize(("channels", "groups", "largest"), [(3, 1, 63), (4, 4, 127)])
def test_an_odd_number_of_channels_takes_7_bits_and_a_depthwise_convolution_all_8(
    channels: int, groups: int, largest: int
) -> None:
    assert QuantConv2d(nn.Conv2d(channels, 4, 3, groups=groups)).integer_weight().abs().max() == largest


def test_pairs_that_training_pushed_out_come_back_and_training_sees_it() -> None:
    torch.manual_seed(0)
    quantized = QuantConv2d(nn.Conv2d(8, 4, 3, bias=False))
    with torch.no_grad():
        quantized.weight.mul_(1.4)
    beyond = torch.round(quantized.weight / quantized.weight_scale.view(-1, 1, 1, 1)).clamp(-127, 127)
    assert _pairs(beyond).max() > 128
    integers = quantized.integer_weight()
    assert _pairs(integers).max() == 128
    assert (integers * beyond >= 0).all()
    x = torch.randn(2, 8, 5, 5)
    wanted = nn.functional.conv2d(x, integers * quantized.weight_scale.view(-1, 1, 1, 1), quantized.bias)
    assert torch.allclose(quantized(x), wanted, atol=1e-5)
    quantized(x).sum().backward()
    assert quantized.weight.grad is not None
    assert quantized.weight.grad.abs().sum() > 0


def test_a_vanished_channel_keeps_its_bias_within_32_bits() -> None:
    conv = nn.Conv2d(2, 2, 1)
    with torch.no_grad():
        conv.weight[0] = 1e-12
        conv.bias.fill_(3.0)
    steps = conv.bias / (0.01 * QuantConv2d(conv).weight_scale)
    assert steps.abs().max() < 2**31


def test_unrounded_module_equals_the_convolution_with_uneven_padding() -> None:
    conv = SameConv2d(3, 5, 5, stride=2)
    quantized = QuantConv2d(conv)
    x = torch.randn(1, 3, 16, 16)
    assert torch.allclose(quantized.unrounded(x), conv(x), atol=1e-6)


class _Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(4)
        self.relu = nn.ReLU()
        self.pool = nn.MaxPool2d(2)
        self.body = nn.Conv2d(4, 4, 3, padding=1)
        self.out = nn.ReLU()
        self.fc = nn.Linear(4, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.pool(self.relu(self.norm(self.stem(x))))
        x = self.out(x + self.body(x))
        out: torch.Tensor = self.fc(x.mean((2, 3)))
        return out


def test_rounding_is_placed_at_input_after_relu_after_pool_and_around_the_add() -> None:
    model = _Residual().eval()
    prepared = prepare(model)
    order = [str(node.target) for node in prepared.graph.nodes if node.op in ("call_module", "call_function")]
    names = [name.split(" ")[-1] for name in order]
    assert names[:3] == ["activations.q0", "stem", "relu"]
    assert names[3] == "activations.q1"
    assert names[4:6] == ["pool", "activations.q1"]  # the pool passes its input's scale on
    assert names[6:8] == ["body", "activations.q2"]
    assert names[9:11] == ["out", "activations.q3"]
    assert names[-1] == "fc"  # the head is left alone
    assert not any("norm" in name for name in names)


def test_folding_batch_norm_keeps_the_function(student: HirqaSLite) -> None:
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.allclose(fold_batch_norm(student)(x), student(x), atol=1e-5)


def test_only_what_follows_a_relu_is_unsigned_and_nothing_is_for_tensorrt(student: HirqaSLite) -> None:
    for signed in (False, True):
        prepared = prepare(student, signed=signed)
        modules = dict(prepared.named_modules())
        for node in prepared.graph.nodes:
            rounder = modules.get(str(node.target))
            if isinstance(rounder, ActivationFakeQuant):
                after_relu = isinstance(modules.get(str(node.args[0].target)), nn.ReLU6)
                assert rounder.unsigned == (after_relu and not signed)


def test_prepared_network_trains(student: HirqaSLite) -> None:
    prepared = prepare(student)
    x = torch.randn(2, 3, 64, 64)
    set_ranges(prepared, [x])
    reconstruct(prepared, [x])
    with torch.no_grad():
        assert (prepared(x) - student(x)).abs().max() > 1e-5
    prepared(x).sum().backward()
    first = prepared.get_submodule("trunk.stem.0")
    assert isinstance(first, QuantConv2d)
    assert first.weight.grad is not None
    assert first.weight.grad.abs().sum() > 0


def test_layers_kept_float_are_not_rounded_and_their_border_is(student: HirqaSLite) -> None:
    prepared = prepare(student, float_prefixes=("trunk.stem.", "trunk.blocks.0."))
    kinds = {name: type(module) for name, module in prepared.named_modules()}
    assert kinds["trunk.stem.0"] is SameConv2d
    assert kinds["trunk.blocks.0.layers.3"] is SameConv2d
    assert kinds["trunk.blocks.1.layers.0"] is QuantConv2d
    order = [str(node.target) for node in prepared.graph.nodes if node.op == "call_module"]
    first = order.index("activations.q0")
    assert order[first - 1 : first + 2] == ["trunk.blocks.0.layers.3", "activations.q0", "trunk.blocks.1.layers.0"]
    everything = sum(isinstance(module, ActivationFakeQuant) for module in prepare(student).modules())
    assert sum(kind is ActivationFakeQuant for kind in kinds.values()) == everything - 3  # input, stem, depthwise


def test_bias_lies_on_the_grid_of_the_accumulator(student: HirqaSLite) -> None:
    prepared = prepare(student)
    set_ranges(prepared, [torch.randn(1, 3, 64, 64)])
    reconstruct(prepared, [torch.randn(1, 3, 64, 64)])
    conv = prepared.get_submodule("trunk.stem.0")
    assert isinstance(conv, QuantConv2d)
    grid = conv.input_rounder[0].scale * conv.weight_scale
    with torch.no_grad():
        conv.bias.copy_(100.4 * grid)
        out = conv(torch.zeros(1, 3, 8, 8))[0, :, 2, 2]
    assert torch.allclose(out, 100 * grid, rtol=1e-4)


@pytest.mark.parametrize("signed", [False, True])
def test_pixels_are_rounded_to_themselves(student: HirqaSLite, signed: bool) -> None:
    rounder = prepare(student, pixels=pixel_grid(HirqaSLite.mean, HirqaSLite.std), signed=signed).activations.q0
    pixels = (torch.arange(256) / 255 - HirqaSLite.mean[0]) / HirqaSLite.std[0]
    rounded = rounder(torch.cat([pixels, torch.tensor([9.0])]))
    last = 254 if signed else 255  # TensorRT has no zero-point for the last one
    assert torch.allclose(rounded[: last + 1], pixels[: last + 1], atol=1e-6)
    assert torch.allclose(rounded[last + 1 :], pixels[last], atol=1e-6)


def test_the_grid_of_pixels() -> None:
    grid = pixel_grid(HirqaSLite.mean, HirqaSLite.std)
    assert grid is not None
    assert (grid.step, grid.zero_point) == (pytest.approx(1 / 128), -1)
    assert pixel_grid((128 / 255,) * 3, (128 / 255,) * 3) == PixelGrid(pytest.approx(1 / 128), 0)
    assert pixel_grid((0.481, 0.458, 0.408), (0.29, 0.295, 0.3)) is None


def test_a_range_after_relu6_ends_at_six(student: HirqaSLite) -> None:
    prepared = prepare(student, signed=True)
    x = 100 * torch.randn(2, 3, 64, 64)
    set_ranges(prepared, [x])
    reconstruct(prepared, [x])
    after = [
        prepared.get_submodule(str(user.target))
        for node in prepared.graph.nodes
        if node.op == "call_module" and isinstance(prepared.get_submodule(str(node.target)), nn.ReLU6)
        for user in node.users
    ]
    assert len(after) == sum(isinstance(module, nn.ReLU6) for module in student.modules())
    assert max(float(rounder.largest) for rounder in after if isinstance(rounder, ActivationFakeQuant)) <= 6.0
    frozen = freeze(prepared)
    assert not any(isinstance(module, nn.ReLU6) for module in frozen.modules())

    def first_layer(network: fx.GraphModule) -> torch.Tensor:
        out = x
        for name in ("activations.q0", "trunk.stem.0", "trunk.stem.2", "activations.q1"):
            out = network.get_submodule(name)(out)
        return out

    first = prepared.get_submodule("activations.q1")
    assert isinstance(first, ActivationFakeQuant)
    with torch.no_grad():
        clipped = first_layer(frozen)
        assert float(clipped.max()) == pytest.approx(float(first.largest))
        assert float((clipped - first_layer(prepared)).abs().max()) < 1e-5


def test_weights_of_pairs_that_are_brought_back_are_whole() -> None:
    torch.manual_seed(0)
    layer = QuantConv2d(nn.Conv2d(64, 64, 3))
    with torch.no_grad():
        layer.weight.mul_(1.4)  # trained away from the step they were given
    scale = layer.weight_scale.view(-1, 1, 1, 1)
    steps = (layer.weight / scale).detach().round().clamp(-127, 127)
    sums = steps[:, 0::2] + steps[:, 1::2]
    integers = layer.integer_weight().float()
    pairs = integers[:, 0::2] + integers[:, 1::2]
    assert (sums.abs() > 128).sum() > 100
    assert torch.equal(pairs, sums.clamp(-128, 128))
    with torch.no_grad():
        x = torch.eye(64).view(64, 64, 1, 1).expand(-1, -1, 3, 3)[:, :, :, :].contiguous()
        out = layer(x) - layer(torch.zeros_like(x))
    assert torch.allclose(out.flatten(1), (integers * scale).sum((2, 3)).T, atol=1e-4)
