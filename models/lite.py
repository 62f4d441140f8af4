"""HirqaSLite, the int8-friendly student that is shipped and embedded.

EfficientNet-Lite0 cut after its 112-channel stage at stride 16 (half the multiplications, nearly all the quality
signal), ReLU instead of ReLU6 so that ranges are learnt and not fixed. Four stages are read: each through a 1x1
convolution with ReLU, whose mean over positions can express what a standard deviation would, in integer arithmetic.
The means, the linear head and the sigmoid stay float. Ours; HiRQA-S itself is a ResNet-18 (``edge_iqa.models.hirqa``).
"""

from __future__ import annotations

from pathlib import Path
from typing import cast

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from edge_iqa.models.efficientnet_lite import LITE_MEAN, LITE_STD, EfficientNetLite0, SameConv2d, load_imagenet

TAPS = (2, 4, 7, 10)
STAGE_WIDTHS = (24, 40, 80, 112)
STAGE_STRIDES = (4, 8, 16, 16)
READER_WIDTHS = (64, 64, 128, 256)
SHIPPED_WEIGHTS = Path(__file__).parent / "weights" / "hirqa-s-lite.safetensors"


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
            for channels, width in zip(STAGE_WIDTHS, READER_WIDTHS, strict=True)
        )
        self.fc = nn.Sequential(nn.Linear(sum(READER_WIDTHS), 1), nn.Sigmoid())

    def maps(self, x: Tensor) -> list[Tensor]:
        """Return the outputs of the four stages, at ``STAGE_STRIDES``."""
        return cast(list[Tensor], self.trunk(x))

    def read(self, maps: list[Tensor]) -> Tensor:
        """Return the means of the four readers ``(N, 512)`` that the score is read from."""
        return torch.cat([reader(one).mean((2, 3)) for reader, one in zip(self.readers, maps, strict=True)], dim=1)

    def embed(self, x: Tensor) -> Tensor:
        """Return ``read`` of ``maps``."""
        return self.read(self.maps(x))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.fc(self.embed(x))
        return out

    def load_pretrained(self) -> None:
        """Start the trunk from ImageNet weights."""
        load_imagenet(self.trunk)

    def load_shipped(self) -> None:
        """Take the float weights of the shipped student."""
        self.load_state_dict(load_file(SHIPPED_WEIGHTS))
