"""HiRQA and HiRQA-S as their authors' checkpoints hold them (Ramesh, Wang, Islam, arXiv 2508.15130).

A ResNet trunk, an attention pool whose one query is the mean token (Radford et al., "Learning Transferable Visual
Models From Natural Language Supervision", 2021, without the positional embedding, so that any size works), and one
linear layer with a sigmoid. The layer sizes and names follow the published checkpoints; the code is ours.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edge_iqa.models.resnet import ResNetTrunk

# The authors normalise with CLIP's mean but not with CLIP's standard deviation; both are theirs.
HIRQA_MEAN = (0.481, 0.458, 0.408)
HIRQA_STD = (0.290, 0.295, 0.300)


EMBEDDING = 1024
HEADS = 16


class AttentionPool(nn.Module):
    """Pool a feature map by attending from its mean: ``(N, C, H, W)`` → ``(N, out_channels)``, float32.

    Tokens are the mean of all positions followed by the positions; the mean token is the only query.
    """

    def __init__(self, channels: int, heads: int, out_channels: int) -> None:
        super().__init__()
        if channels % heads:
            raise ValueError(f"channels ({channels}) must be a multiple of heads ({heads})")
        self.heads = heads
        self.head_channels = channels // heads
        self.k_proj = nn.Linear(channels, channels)
        self.q_proj = nn.Linear(channels, channels)
        self.v_proj = nn.Linear(channels, channels)
        self.c_proj = nn.Linear(channels, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        tokens = x.flatten(2).transpose(1, 2)
        mean = tokens.mean(dim=1, keepdim=True)
        tokens = torch.cat([mean, tokens], dim=1)
        shape = (-1, tokens.shape[1], self.heads, self.head_channels)
        query = self.q_proj(mean).reshape(-1, 1, self.heads, self.head_channels).transpose(1, 2)
        key = self.k_proj(tokens).reshape(shape).transpose(1, 2)
        value = self.v_proj(tokens).reshape(shape).transpose(1, 2)
        weight = torch.softmax(query @ key.transpose(2, 3) * self.head_channels**-0.5, dim=-1)
        pooled = (weight @ value).transpose(1, 2).flatten(1)
        out: Tensor = self.c_proj(pooled)
        return out


class AttentionScore(nn.Module):
    """HiRQA's pool and head on a trunk: ``(N, 3, H, W)`` → ``(N, 1)`` in (0, 1), higher is better.

    The input is float32 RGB in [0, 1], normalised with ``mean`` and ``std``, at any size of at least 32x32 pixels.
    """

    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def __init__(self, backbone: nn.Module, channels: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.global_pool_quality = AttentionPool(channels, HEADS, EMBEDDING)
        self.fc = nn.Sequential(nn.Linear(EMBEDDING, 1), nn.Sigmoid())

    def features(self, x: Tensor) -> Tensor:
        """Return the pooled embedding ``(N, 1024)`` that the score is read from."""
        out: Tensor = self.global_pool_quality(self.backbone(x))
        return out

    def logit(self, features: Tensor) -> Tensor:
        """Return the score before the sigmoid ``(N, 1)`` of embeddings ``(N, 1024)``."""
        out: Tensor = self.fc[0](features)
        return out

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.fc(self.features(x))
        return out


class HiRQA(AttentionScore):
    """HiRQA (``depth=50``) or HiRQA-S (``depth=18``); the authors score at full resolution in one pass."""

    backbone: ResNetTrunk
    mean = HIRQA_MEAN
    std = HIRQA_STD
    map_strides = (16, 32)

    def __init__(self, depth: int = 50) -> None:
        backbone = ResNetTrunk(depth)
        super().__init__(backbone, backbone.channels)
        self.map_channels = (backbone.channels // 2, backbone.channels)

    @property
    def stages(self) -> list[nn.Module]:
        """The trunk in four, ending at strides 4, 8, 16 and 32."""
        features = self.backbone.features
        return [features[:5], features[5], features[6], features[7]]

    def maps(self, x: Tensor) -> list[Tensor]:
        """Return the outputs of the trunk's last two stages, at ``map_strides``."""
        middle = self.backbone.features[:-1](x)
        return [middle, self.backbone.features[-1](middle)]

    def read(self, maps: list[Tensor]) -> Tensor:
        """Return the pooled embedding ``(N, 1024)`` of the last of ``maps``."""
        out: Tensor = self.global_pool_quality(maps[-1])
        return out
