"""Fake quantization: float modules that compute with the numbers the int8 engines will hold.

Activations have one scale per tensor. Signed ones lie on -128..127 with zero-point 0. After a ReLU the CPU
runtimes hold 0..255 over the same range, twice as fine; TensorRT knows only signed ones. Pixels may have a zero-point
that lets all 256 values through as they are. Weights have one symmetric scale per output channel.

x86 processors without VNNI add two products of an activation (0..255) and a weight in 16 bits, which saturate. The
common cure is weights of seven bits, -63..63. But what must hold is less: the two weights that meet, those of input
channels 2i and 2i + 1 at one place of the kernel, must not add up beyond +-128. So a channel's step is the smallest
that keeps each of its weights within +-127 and each such pair within +-128, and pairs that rounding or training have
pushed out are brought back (``QuantConv2d``). A depthwise convolution has no pairs. This is ours.

Scales stand still once they are set. Gradients pass straight through the rounding (Bengio et al., arXiv 1308.3432) and
stop outside the range.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edge_iqa.models.efficientnet_lite import SameConv2d

SIGNED_LEVELS, UNSIGNED_LEVELS = 127, 255  # above zero
WEIGHT_MAX = {7: 63, 8: 127}
PAIR_MAX = 128  # 255 * 128 is the largest multiple of 255 in 16 bits
LEAST_WEIGHT_RANGE = 1e-3  # of the layer's largest weight


class ActivationFakeQuant(nn.Module):
    """Round a tensor of any shape onto ``scale * {-128 - z .. 127 - z}``, or ``scale * {0..255}`` where ``unsigned``.

    z is ``zero_point``, that of int8. ``largest`` is the end of the range at zero-point 0; it is to be set before use,
    unless ``step`` gives the scale.
    """

    largest: Tensor

    def __init__(self, *, unsigned: bool = False, step: float | None = None, zero_point: int = 0) -> None:
        super().__init__()
        self.unsigned = unsigned
        self.levels = UNSIGNED_LEVELS if unsigned else SIGNED_LEVELS
        self.fixed = step is not None
        self.zero_point = zero_point
        self.register_buffer("largest", torch.tensor(self.levels * (step or 0.0)))

    @property
    def scale(self) -> Tensor:
        """The step between two levels, a float32 scalar tensor."""
        return torch.clamp(self.largest / self.levels, min=1e-8)

    def forward(self, x: Tensor) -> Tensor:
        zero_point = torch.tensor(self.zero_point, dtype=torch.int32)
        least = 0 if self.unsigned else -SIGNED_LEVELS - 1
        return torch.fake_quantize_per_tensor_affine(x, self.scale, zero_point, least, self.levels)


class QuantConv2d(nn.Conv2d):
    """A convolution whose weights are rounded per output channel; ``same_padding`` is that of ``SameConv2d``.

    With 8 bits and ``paired``, neighbouring input channels' weights of one sign never add up beyond ``PAIR_MAX``; where
    their number is odd, so that pairs would reach across the kernel's places, 7 bits are used instead.

    Where ``input_rounder`` holds the rounding of its input, the bias is rounded too: onto the grid input scale times
    weight scale, in whose steps the engines' 32-bit accumulators count. ``float_weight`` and ``float_bias`` are what a
    float convolution in this place would have. Steps of weights are whole multiples of ``weight_unit``, where that is
    above zero (``edge_iqa.quantize.exact``).
    """

    weight_scale: Tensor
    weight_unit: Tensor
    float_weight: Tensor
    float_bias: Tensor

    def __init__(self, conv: nn.Conv2d, weight_bits: int = 8, *, paired: bool = True) -> None:
        kernel = (conv.kernel_size[0], conv.kernel_size[1])
        super().__init__(
            conv.in_channels,
            conv.out_channels,
            kernel,
            (conv.stride[0], conv.stride[1]),
            (int(conv.padding[0]), int(conv.padding[1])),
            (conv.dilation[0], conv.dilation[1]),
            conv.groups,
            bias=True,
        )
        self.same_padding = conv.same_padding if isinstance(conv, SameConv2d) else (0, 0, 0, 0)
        each = conv.in_channels // conv.groups
        self.paired = paired and weight_bits == 8 and each % 2 == 0
        self.weight_max = WEIGHT_MAX[7 if paired and each > 1 and each % 2 else weight_bits]
        self.input_rounder: list[ActivationFakeQuant] = []  # in a list, so that it is not a part of this module
        self.register_buffer("weight_scale", torch.ones(conv.out_channels))
        self.register_buffer("weight_unit", torch.zeros(()))
        with torch.no_grad():
            self.weight.copy_(conv.weight)
            assert self.bias is not None
            self.bias.copy_(torch.zeros_like(self.bias) if conv.bias is None else conv.bias)
            self.weight_scale.copy_(self.scale_of(self.weight))
        self.register_buffer("float_weight", self.weight.detach().clone())
        self.register_buffer("float_bias", self.bias.detach().clone())

    def scale_of(self, weight: Tensor) -> Tensor:
        """Return the step of each output channel ``(O,)`` that lets the integers reach ``weight`` ``(O, I, kh, kw)``.

        A channel whose weights have all but vanished gets the layer's smallest sensible step: with a step near zero
        its bias would not fit the 32-bit integers that every target adds it in.
        """
        weight = weight.detach()
        step = weight.abs().flatten(1).amax(1) / self.weight_max
        if self.paired:
            step = torch.maximum(step, _pair_sums(weight).abs().flatten(1).amax(1) / PAIR_MAX)
        step = torch.maximum(step, step.max() * LEAST_WEIGHT_RANGE).clamp(min=1e-8 / self.weight_max)
        return torch.ceil(step / self.weight_unit) * self.weight_unit if self.weight_unit > 0 else step

    def integer_weight(self) -> Tensor:
        """Return the weights as the engines hold them, int8 ``(O, I, kh, kw)``."""
        return self._integers().detach().to(torch.int8)

    def rounded_bias(self) -> Tensor:
        """Return the bias ``(O,)`` as the engines hold it; as it is where the input is not rounded."""
        assert self.bias is not None
        if not self.input_rounder:
            return self.bias.detach().clone()
        return (self._bias_steps() * self._grid()).float()

    def _grid(self) -> Tensor:
        return self.input_rounder[0].scale.double() * self.weight_scale.double()

    @torch.no_grad()
    def _bias_steps(self) -> Tensor:
        """Return the bias in whole steps of the accumulator, float64, in which large ones are rounded once.

        Where factors are exact, steps are left out that float32 does not hold: OpenVINO adds biases in it.
        """
        assert self.bias is not None
        grid = self._grid()
        steps = torch.round(self.bias.double() / grid)
        coarse = 1
        while self.weight_unit > 0 and (lost := (steps * grid).float().double() != steps * grid).any():
            coarse *= 2
            steps = torch.where(lost, torch.round(steps / coarse) * coarse, steps)
        return steps

    def _integers(self) -> Tensor:
        """Return the weights in whole steps; gradients pass through the rounding, within the range."""
        steps = torch.clamp(self.weight / self.weight_scale.view(-1, 1, 1, 1), -self.weight_max, self.weight_max)
        rounded = torch.round(steps.detach())
        return rounded - self._excess(rounded) + (steps - steps.detach())

    def _excess(self, steps: Tensor) -> Tensor:
        """Return what is to be taken off integers ``(O, I, kh, kw)`` so that no pair goes beyond: half from each."""
        if not self.paired:
            return torch.zeros_like(steps)
        sums = _pair_sums(steps)
        over = torch.sign(sums) * torch.relu(sums.abs() - PAIR_MAX)
        half = torch.trunc(over / 2)
        return torch.stack([over - half, half], 2).flatten(1, 2)

    def padded(self, x: Tensor) -> Tensor:
        """Return ``x`` with the uneven part of the padding put around it."""
        return F.pad(x, self.same_padding) if any(self.same_padding) else x

    def unrounded(self, x: Tensor) -> Tensor:
        """Return what the convolution gives with its weights and bias as they are."""
        out: Tensor = self._conv_forward(self.padded(x), self.weight, self.bias)
        return out

    def forward(self, x: Tensor) -> Tensor:
        integers, bias = self._integers(), self.bias
        assert bias is not None
        out: Tensor
        if not self.input_rounder:
            out = self._conv_forward(self.padded(x), integers * self.weight_scale.view(-1, 1, 1, 1), bias)
            return out
        step = self.input_rounder[0].scale
        grid = step * self.weight_scale
        bias = self._bias_steps().float() + (bias - bias.detach()) / grid
        # integers, whose sums float32 holds exactly in whatever order they are added
        out = self._conv_forward(self.padded(x / step), integers, None)
        return (out + bias.view(-1, 1, 1)) * grid.view(-1, 1, 1)


def _pair_sums(weight: Tensor) -> Tensor:
    """Return ``(O, I / 2, kh, kw)``: the sums of the weights ``(O, I, kh, kw)`` of input channels 2i and 2i + 1."""
    return weight[:, 0::2] + weight[:, 1::2]
