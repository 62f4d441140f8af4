"""The shipped teacher: HiRQA's ranking on the statistics of a frozen EfficientNet-Lite0.

Of three stages of the ImageNet trunk, one at stride 16 and two at stride 32, the mean over positions of every channel
and its standard deviation, compressed by a logarithm; one linear layer and a sigmoid. Only that layer is trained. Ours,
not the paper's: a trunk that is fine-tuned on synthetic distortions learns them too well and ranks real photographs
worse, a frozen one cannot.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from edge_iqa.models.efficientnet_lite import LITE_MEAN, LITE_STD, EfficientNetLite0

STAGE_ENDS = (10, 13, 15)  # blocks: the last at stride 16, the middle and the last at stride 32
_EARLY_ENDS = (2, 4)  # the last blocks at strides 4 and 8


class StageStatistics(nn.Module):
    """Frozen trunk, stage statistics, linear score: ``(N, 3, H, W)`` → ``(N, 1)`` in (0, 1), higher is better.

    The input is float32 RGB in [0, 1], normalised with ``mean`` and ``std``; H and W are cut to multiples of 32.
    ``ends`` are the blocks whose outputs are read; F features come of them, 1,248 of the shipped three.
    """

    mean = LITE_MEAN
    std = LITE_STD
    centre: Tensor
    spread: Tensor

    def __init__(self, ends: tuple[int, ...] = STAGE_ENDS) -> None:
        super().__init__()
        self.trunk = EfficientNetLite0(ends)
        count = 2 * sum(self.trunk.tap_channels)
        self.register_buffer("centre", torch.zeros(count))
        self.register_buffer("spread", torch.ones(count))
        self.fc = nn.Linear(count, 1)
        self.trunk.requires_grad_(False)

    def train(self, mode: bool = True) -> StageStatistics:
        """Set the mode of the head; the frozen trunk keeps its batch statistics."""
        super().train(mode)
        self.trunk.eval()
        return self

    @torch.no_grad()
    def features_and_maps(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return ``features``, and the first and the last map that are read.

        As shipped these are ``(N, 112, H/16, W/16)`` and ``(N, 320, H/32, W/32)``.
        """
        taps = cast(list[Tensor], self.trunk(_whole(x)))
        return _statistics(taps), [taps[0], taps[-1]]

    @torch.no_grad()
    def features_and_stages(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return ``features``, and the maps at the end of each stage, the ones that are read among them.

        As shipped these have 24, 40, 112, 192 and 320 channels, at strides 4, 8, 16, 32 and 32.
        """
        maps = self.trunk.run(_whole(x), (*_EARLY_ENDS, *self.trunk.taps))
        return _statistics(maps[len(_EARLY_ENDS) :]), maps

    def features(self, x: Tensor) -> Tensor:
        """Return the stage statistics ``(N, F)``: all means and compressed deviations, stage by stage."""
        return self.features_and_maps(x)[0]

    def logit(self, features: Tensor) -> Tensor:
        """Return the score before the sigmoid ``(N, 1)`` of features ``(N, F)``."""
        out: Tensor = self.fc((features - self.centre) / self.spread)
        return out

    def forward(self, x: Tensor) -> Tensor:
        return torch.sigmoid(self.logit(self.features(x)))


def _whole(x: Tensor) -> Tensor:
    """Cut ``x`` ``(N, 3, H, W)`` to multiples of 32."""
    return x[:, :, : x.shape[2] // 32 * 32, : x.shape[3] // 32 * 32]


def _statistics(taps: list[Tensor]) -> Tensor:
    parts: list[Tensor] = []
    for tap in taps:
        flat = tap.flatten(2)
        # what matters in a contrast is its ratio
        parts += [flat.mean(2), torch.log1p(10 * flat.std(2, unbiased=False))]
    return torch.cat(parts, dim=1)
