"""The first teacher: HiRQA's ranking on the statistics of a frozen EfficientNet-Lite0.

Per stage of the ImageNet trunk, the mean and the standard deviation over positions of every channel; one linear layer
and a sigmoid. Only that layer is trained. Ours, not the paper's: a trunk that is fine-tuned on synthetic distortions
learns them too well and ranks real photographs worse, a frozen one cannot.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edge_iqa.models.efficientnet_lite import LITE_MEAN, LITE_STD, EfficientNetLite0

STAGE_ENDS = (2, 4, 10, 15)  # the last block of each stride; the head convolution is the fifth stage


class StageStatistics(nn.Module):
    """Frozen trunk, stage statistics, linear score: ``(N, 3, H, W)`` → ``(N, 1)`` in (0, 1), higher is better.

    The input is float32 RGB in [0, 1], normalised with ``mean`` and ``std``; H and W are cut to multiples of 32.
    """

    mean = LITE_MEAN
    std = LITE_STD
    centre: Tensor
    spread: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.trunk = EfficientNetLite0(STAGE_ENDS, head=True)
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
    def features(self, x: Tensor) -> Tensor:
        """Return the raw stage statistics ``(N, 3552)``: all means and deviations, stage by stage."""
        height, width = x.shape[2] // 32 * 32, x.shape[3] // 32 * 32
        parts: list[Tensor] = []
        for tap in self.trunk(x[:, :, :height, :width]):
            flat = tap.flatten(2)
            parts += [flat.mean(2), flat.std(2, unbiased=False)]
        return torch.cat(parts, dim=1)

    def logit(self, features: Tensor) -> Tensor:
        """Return the score before the sigmoid ``(N, 1)`` of raw features ``(N, 3552)``."""
        out: Tensor = self.fc((features - self.centre) / self.spread)
        return out

    def forward(self, x: Tensor) -> Tensor:
        return torch.sigmoid(self.logit(self.features(x)))
