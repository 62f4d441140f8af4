"""Teachers on one of our trunks: HiRQA's attention pool on EfficientNet-Lite0, and a plain ranker (RankIQA)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edge_iqa.models.efficientnet_lite import LITE_MEAN, LITE_STD
from edge_iqa.models.hirqa import AttentionScore
from edge_iqa.models.trunks import LiteTrunk, make_trunk


class HiRQALite(AttentionScore):
    """HiRQA's pool and head on EfficientNet-Lite0. Ours: the authors use ResNets."""

    mean = LITE_MEAN
    std = LITE_STD

    def __init__(self) -> None:
        backbone = LiteTrunk()
        super().__init__(backbone, backbone.channels)


class Ranker(nn.Module):
    """A trunk, the mean and deviation of its last map, one linear layer: ``(N, 3, H, W)`` → ``(N, 1)`` in (0, 1).

    RankIQA's network with another trunk in place of VGG-16 and pooling in place of its fully connected layers, so
    that any size of at least 32x32 pixels can be scored. The ranking leaves the logit's scale free; training fixes
    it to mean 0 and deviation 1 over its pictures.
    """

    def __init__(self, backbone: str) -> None:
        super().__init__()
        self.architecture = {"backbone": backbone}
        self.backbone = make_trunk(backbone)
        self.mean = self.backbone.mean
        self.std = self.backbone.std
        self.fc = nn.Linear(2 * self.backbone.channels, 1)

    def features(self, x: Tensor) -> Tensor:
        """Return means and deviations over positions ``(N, 2 C)``."""
        flat = self.backbone(x).flatten(2)
        # with the small constant the gradient of a flat channel is zero instead of undefined
        deviation = (flat.var(2, unbiased=False) + 1e-6).sqrt()
        return torch.cat([flat.mean(2), deviation], dim=1)

    def logit(self, features: Tensor) -> Tensor:
        """Return the score before the sigmoid ``(N, 1)`` of features ``(N, 2 C)``."""
        out: Tensor = self.fc(features)
        return out

    def forward(self, x: Tensor) -> Tensor:
        return torch.sigmoid(self.logit(self.features(x)))


@torch.no_grad()
def spread_head(head: nn.Linear, logits: Tensor) -> None:
    """Scale a linear head, in place, so that the ``logits`` it gave have mean 0 and deviation 1; no order changes."""
    factor = 1 / float(logits.std().clamp(min=1e-6))
    head.bias.sub_(logits.mean()).mul_(factor)
    head.weight.mul_(factor)
