"""HirqaSLite, the int8-friendly student that is shipped and embedded: a thin network of dense 3x3 convolutions.

A stem and four stages, each a strided convolution and one residual block (He et al., CVPR 2016), with plain ReLU.
Every layer is one that all integer runtimes fuse. Depthwise convolutions, as in EfficientNet-Lite, cost far more time
per multiplication on processors, and their batch norms, of gains up to 50, turn the rounding of eight bits into noise.
All four stages are read, because quality is in early features: each through a 1x1 convolution with ReLU, whose mean
over positions can express what a standard deviation would, in integer arithmetic. The means, the linear head and the
sigmoid stay float. Ours; HiRQA-S itself is a ResNet-18 (``edge_iqa.models.hirqa``).
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from edge_iqa.models.efficientnet_lite import SameConv2d

STEM_WIDTH = 16
STAGE_WIDTHS = (24, 48, 96, 160)
STAGE_STRIDES = (4, 8, 16, 32)
READER_WIDTHS = (64, 64, 128, 128)
SHIPPED_WEIGHTS = Path(__file__).parent / "weights" / "hirqa-s-lite.safetensors"


def conv_bn(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    """Return a convolution with SAME padding and its batch norm."""
    return nn.Sequential(SameConv2d(inputs, outputs, kernel, stride), nn.BatchNorm2d(outputs))


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions around a shortcut, ``(N, C, H, W)`` → the same shape."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.inner = nn.Sequential(*conv_bn(channels, channels), nn.ReLU())
        self.outer = conv_bn(channels, channels)
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.relu(x + self.outer(self.inner(x)))
        return out


class HirqaSLite(nn.Module):
    """``(N, 3, H, W)`` → ``(N, 1)`` in (0, 1), higher is better; H and W are multiples of 32.

    The input is float32 RGB in [0, 1], normalised with ``mean`` and ``std``.
    """

    mean = (127.0 / 255.0,) * 3
    std = (64.0 / 255.0,) * 3

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(*conv_bn(3, STEM_WIDTH, stride=2), nn.ReLU())
        inputs = (STEM_WIDTH, *STAGE_WIDTHS)
        self.stages = nn.ModuleList(
            nn.Sequential(*conv_bn(before, width, stride=2), nn.ReLU(), ResidualBlock(width))
            for before, width in zip(inputs, STAGE_WIDTHS, strict=False)
        )
        self.readers = nn.ModuleList(
            nn.Sequential(*conv_bn(channels, width, kernel=1), nn.ReLU())
            for channels, width in zip(STAGE_WIDTHS, READER_WIDTHS, strict=True)
        )
        self.fc = nn.Sequential(nn.Linear(sum(READER_WIDTHS), 1), nn.Sigmoid())

    def maps(self, x: Tensor) -> list[Tensor]:
        """Return the outputs of the four stages, at strides 4, 8, 16 and 32."""
        out = self.stem(x)
        taps: list[Tensor] = []
        for stage in self.stages:
            out = stage(out)
            taps.append(out)
        return taps

    def read(self, maps: list[Tensor]) -> Tensor:
        """Return the means of the readers ``(N, 384)`` that the score is read from."""
        return torch.cat([reader(one).mean((2, 3)) for reader, one in zip(self.readers, maps, strict=True)], dim=1)

    def embed(self, x: Tensor) -> Tensor:
        """Return ``read`` of ``maps``."""
        return self.read(self.maps(x))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.fc(self.embed(x))
        return out

    def load_shipped(self) -> None:
        """Take the float weights of the shipped student."""
        self.load_state_dict(load_file(SHIPPED_WEIGHTS))
