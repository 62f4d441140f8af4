"""HiRQA-S-lite: the int8-friendly student that is shipped and embedded.

EfficientNet-Lite0 cut after its 112-channel stage at stride 16 (half the multiplications, nearly all the quality
signal), ReLU instead of ReLU6 so that ranges are learnt and not fixed. Four stages are read: each through a 1x1
convolution with ReLU, whose mean over positions can express what a standard deviation would, in integer arithmetic.
The means, the linear head and the sigmoid stay float. Ours; HiRQA-S itself is a ResNet-18 (``edge_iqa.models.hirqa``).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edge_iqa.models.efficientnet_lite import (
    LITE_MEAN,
    LITE_STD,
    EfficientNetLite0,
    SameConv2d,
    load_imagenet,
)

TAPS = (2, 4, 7, 10)
TAP_WIDTHS = (64, 64, 128, 256)


class HirqaSLite(nn.Module):
    """``(N, 3, H, W)`` → ``(N, 1)`` in (0, 1), higher is better; H and W are multiples of 32.

    The input is float32 RGB in [0, 1], normalised with ``mean`` and ``std``.
    """

    mean = LITE_MEAN
    std = LITE_STD

    def __init__(self) -> None:
        super().__init__()
        self.trunk = EfficientNetLite0(TAPS, activation=nn.ReLU)
        self.readers = nn.ModuleList(
            nn.Sequential(SameConv2d(channels, width, 1), nn.BatchNorm2d(width), nn.ReLU())
            for channels, width in zip(self.trunk.tap_channels, TAP_WIDTHS, strict=True)
        )
        self.fc = nn.Sequential(nn.Linear(sum(TAP_WIDTHS), 1), nn.Sigmoid())

    def embed(self, x: Tensor) -> Tensor:
        """Return the means of the four readers ``(N, 512)`` that the score is read from."""
        taps = self.trunk(x)
        return torch.cat([reader(tap).mean((2, 3)) for reader, tap in zip(self.readers, taps, strict=True)], dim=1)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.fc(self.embed(x))
        return out

    def load_pretrained(self) -> None:
        """Start the trunk from ImageNet weights."""
        load_imagenet(self.trunk)
