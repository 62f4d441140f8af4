"""HirqaSLite, the int8-friendly student that is shipped and embedded.

EfficientNet-Lite0, made by its authors to be quantized: no squeeze-and-excite, and ReLU6, whose range of 0 to 6 every
int8 engine gets for nothing, because rounding clips there. It is cut inside its first residual block at stride 32. The
score is read from means over positions: of the block's input, and of its depthwise convolution, of whose channels only
those are kept that the score needs. The block's own projection is linear, as a mean is: it has gone into the head.
The means, the linear head and the sigmoid are float. Ours; HiRQA-S itself is a ResNet-18 (``edge_iqa.models.hirqa``).
"""

from __future__ import annotations

from pathlib import Path
from typing import cast

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from edge_iqa.models.efficientnet_lite import (
    BLOCK_CHANNELS,
    LITE_MEAN,
    LITE_STD,
    EfficientNetLite0,
    SameConv2d,
    imagenet_weights,
    load_imagenet,
)

TAPS = (10, 11)  # the last block at stride 16 and the first at stride 32
TAIL_BLOCK = 12  # the block that the tail is cut from
MIDDLE_WIDTH = BLOCK_CHANNELS[TAPS[-1]]
EXPANDED_WIDTH = 6 * MIDDLE_WIDTH
TAIL_WIDTH = 384
SHIPPED_WEIGHTS = Path(__file__).parent / "weights" / "hirqa-s-lite.safetensors"


def tail_projection() -> Tensor:
    """Return what ImageNet's tail block makes of its depthwise channels ``(MIDDLE_WIDTH, EXPANDED_WIDTH)`` float32.

    Its batch norm is folded in, without the constant.
    """
    weights = imagenet_weights()
    convolution, norm = (f"blocks.{TAIL_BLOCK}.layers.{layer}." for layer in (6, 7))
    gain = weights[norm + "weight"] / torch.sqrt(weights[norm + "running_var"] + 1e-3)
    return weights[convolution + "weight"][:, :, 0, 0] * gain[:, None]


class HirqaSLite(nn.Module):
    """``(N, 3, H, W)`` → ``(N, 1)`` in (0, 1), higher is better; H and W are multiples of 32.

    The input is float32 RGB in [0, 1], normalised with ``mean`` and ``std``; ``width`` is the number of channels of the
    last depthwise convolution, at most ``EXPANDED_WIDTH``.
    """

    mean = LITE_MEAN
    std = LITE_STD
    map_strides = (16, 32)

    def __init__(self, width: int = TAIL_WIDTH) -> None:
        super().__init__()
        self.trunk = EfficientNetLite0(TAPS)
        self.map_channels = self.trunk.tap_channels
        self.tail = nn.Sequential(
            SameConv2d(MIDDLE_WIDTH, width, 1),
            nn.BatchNorm2d(width, eps=1e-3),
            nn.ReLU6(),
            SameConv2d(width, width, 5, groups=width),
            nn.BatchNorm2d(width, eps=1e-3),
            nn.ReLU6(),
        )
        self.fc = nn.Sequential(nn.Linear(MIDDLE_WIDTH + width, 1), nn.Sigmoid())

    def maps(self, x: Tensor) -> list[Tensor]:
        """Return the outputs of the trunk's last stages, at ``map_strides``."""
        return cast(list[Tensor], self.trunk(x))

    def read(self, maps: list[Tensor]) -> Tensor:
        """Return the means ``(N, MIDDLE_WIDTH + width)`` that the score is read from, of the last of ``maps``."""
        middle = maps[-1]
        return torch.cat([middle.mean((2, 3)), self.tail(middle).mean((2, 3))], dim=1)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.fc(self.read(self.maps(x)))
        return out

    def load_pretrained(self) -> None:
        """Start trunk and tail from ImageNet weights; of the tail's block, the first ``width`` channels."""
        load_imagenet(self.trunk)
        weights = imagenet_weights()
        theirs = {name: weights[f"blocks.{TAIL_BLOCK}.layers.{name}"] for name in self.tail.state_dict()}
        width = self.tail[0].out_channels
        self.tail.load_state_dict({name: value[:width] if value.ndim else value for name, value in theirs.items()})

    def load_shipped(self) -> None:
        """Take the float weights of the shipped student."""
        self.load_state_dict(load_file(SHIPPED_WEIGHTS))

    def keep(self, channels: Tensor) -> HirqaSLite:
        """Return a student whose tail has only ``channels`` of this one's, with their part of the head."""
        result = HirqaSLite(len(channels))
        result.trunk.load_state_dict(self.trunk.state_dict())
        for own, ours in zip(result.tail, self.tail, strict=True):
            own.load_state_dict(
                {name: value[channels] if value.ndim else value for name, value in ours.state_dict().items()}
            )
        read = torch.cat([torch.arange(MIDDLE_WIDTH), MIDDLE_WIDTH + channels])
        head, ours = result.fc[0], self.fc[0]
        assert isinstance(head, nn.Linear)
        assert isinstance(ours, nn.Linear)
        head.load_state_dict({"weight": ours.weight[:, read], "bias": ours.bias})
        return result.train(self.training)
