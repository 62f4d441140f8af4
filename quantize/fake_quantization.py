"""Fake quantization: float modules that compute with the numbers the int8 engines will hold.

The scheme is the one that every target shares. Activations: one symmetric scale per tensor, zero-point 0,
-127..127, set from the largest magnitude seen (TensorRT's rule). Weights: one symmetric scale per output channel,
-63..63: seven bits, because x86 processors without VNNI add two 8-bit products in 16 bits and saturate with more.
Gradients pass straight through the rounding (Bengio et al., arXiv 1308.3432) and stop outside the range.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edge_iqa.models.efficientnet_lite import SameConv2d

ACTIVATION_MAX = 127
WEIGHT_MAX = {7: 63, 8: 127}
LEAST_WEIGHT_RANGE = 1e-3  # of the layer's largest weight


class ActivationFakeQuant(nn.Module):
    """Round a tensor of any shape onto ``scale * {-127..127}``.

    While ``observing``, the range follows the largest magnitude seen: its running mean over batches once
    ``momentum`` is set, else its maximum. With a given ``step`` the range never moves.
    """

    amax: Tensor
    seen: Tensor

    def __init__(self, step: float | None = None) -> None:
        super().__init__()
        self.momentum: float | None = None
        self.fixed = step is not None
        self.observing = True
        self.enabled = True
        self.register_buffer("amax", torch.tensor(ACTIVATION_MAX * (step or 0.0)))
        self.register_buffer("seen", torch.tensor(self.fixed))

    @property
    def scale(self) -> Tensor:
        """The step between two levels, a float32 scalar tensor."""
        return torch.clamp(self.amax / ACTIVATION_MAX, min=1e-8)

    def _observe(self, x: Tensor) -> None:
        amax = x.detach().abs().amax()
        if not self.seen:
            self.amax.copy_(amax)
            self.seen.fill_(True)
        elif self.momentum is not None:
            self.amax.lerp_(amax, self.momentum)
        else:
            self.amax.copy_(torch.maximum(self.amax, amax))

    def forward(self, x: Tensor) -> Tensor:
        if self.observing and not self.fixed:
            self._observe(x)
        if not self.enabled:
            return x
        zero = torch.zeros((), dtype=torch.int32)
        return torch.fake_quantize_per_tensor_affine(x, self.scale, zero, -ACTIVATION_MAX, ACTIVATION_MAX)


class QuantConv2d(nn.Conv2d):
    """A convolution whose weights are rounded per output channel; ``same_padding`` is that of ``SameConv2d``.

    Where ``input_rounder`` holds the rounding of its input, the bias is rounded too: onto the grid input scale times
    weight scale, in whose steps the engines' 32-bit accumulators count.
    """

    def __init__(self, conv: nn.Conv2d, weight_bits: int = 7) -> None:
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
        self.weight_max = WEIGHT_MAX[weight_bits]
        self.enabled = True
        self.input_rounder: list[ActivationFakeQuant] = []  # in a list, so that it is not a part of this module
        with torch.no_grad():
            self.weight.copy_(conv.weight)
            assert self.bias is not None
            self.bias.copy_(torch.zeros_like(self.bias) if conv.bias is None else conv.bias)

    @property
    def weight_scale(self) -> Tensor:
        """The step of each output channel ``(O,)`` float32.

        A channel whose weights have all but vanished gets the layer's smallest sensible step: with a step near zero
        its bias would not fit the 32-bit integers that every target adds it in.
        """
        largest = self.weight.detach().abs().amax((1, 2, 3))
        return torch.maximum(largest, largest.max() * LEAST_WEIGHT_RANGE).clamp(min=1e-8) / self.weight_max

    def integer_weight(self) -> Tensor:
        """Return the weights as the engines hold them, int8 ``(O, I, kh, kw)``."""
        steps = self.weight.detach() / self.weight_scale.view(-1, 1, 1, 1)
        return torch.clamp(torch.round(steps), -self.weight_max, self.weight_max).to(torch.int8)

    def forward(self, x: Tensor) -> Tensor:
        if any(self.same_padding):
            x = nn.functional.pad(x, self.same_padding)
        weight, bias = self.weight, self.bias
        if self.enabled:
            zeros = torch.zeros(weight.shape[0], dtype=torch.int32)
            weight = torch.fake_quantize_per_channel_affine(
                weight, self.weight_scale, zeros, 0, -self.weight_max, self.weight_max
            )
            assert bias is not None
            for rounder in self.input_rounder:
                grid = rounder.scale * self.weight_scale
                bias = bias + (torch.round(bias / grid) * grid - bias).detach()
        out: Tensor = self._conv_forward(x, weight, bias)
        return out


def set_quantization(model: nn.Module, *, observing: bool | None = None, enabled: bool | None = None) -> None:
    """Switch range tracking and rounding of every fake-quantization module in ``model``."""
    for module in model.modules():
        if isinstance(module, ActivationFakeQuant) and observing is not None:
            module.observing = observing
        if isinstance(module, ActivationFakeQuant | QuantConv2d) and enabled is not None:
            module.enabled = enabled
