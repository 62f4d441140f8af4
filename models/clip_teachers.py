"""Teachers that read quality from CLIP's embedding against stored prompts (QualiCLIP, SFD-IQA)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edge_iqa.models.clip_resnet import CLIP_MEAN, CLIP_STD, ClipResNet
from edge_iqa.models.objectives.qualiclip import LOGIT_SCALE, prompt_score
from edge_iqa.models.objectives.sfd_iqa import fused_logit

_EDGE = 1e-6


class LogitScale(nn.Module):
    """A fixed shift and scale of the logit, so that distillation meets deviation 1 from every method."""

    centre: Tensor
    spread: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("centre", torch.zeros(()))
        self.register_buffer("spread", torch.ones(()))

    def forward(self, logits: Tensor) -> Tensor:
        return (logits - self.centre) / self.spread

    @torch.no_grad()
    def settle(self, raw_logits: Tensor) -> None:
        """Fix the scale so that ``raw_logits`` ``(N,)`` get mean 0 and deviation 1."""
        self.centre.copy_(raw_logits.mean())
        self.spread.copy_(raw_logits.std().clamp(min=1e-6))


class PromptTeacher(nn.Module):
    """QualiCLIP's scorer: ``(N, 3, H, W)`` → ``(N, 1)`` in (0, 1), higher is better.

    ``image`` is the architecture of the image encoder, ``pairs`` the number of prompt pairs; the pairs' embeddings
    are a buffer ``(pairs, 2, E)``, positive first. The score is the published one; the logit is shifted and scaled
    once after training.
    """

    mean = CLIP_MEAN
    std = CLIP_STD
    prompts: Tensor

    def __init__(self, image: Mapping[str, Any], pairs: int) -> None:
        super().__init__()
        self.image = ClipResNet(**image)
        self.architecture = {"image": self.image.architecture, "pairs": pairs}
        self.register_buffer("prompts", torch.zeros(pairs, 2, self.image.embedding))
        self.scale = LogitScale()

    def features(self, x: Tensor) -> Tensor:
        """Return CLIP's embedding of unit length ``(N, E)``."""
        embedding: Tensor = self.image(x)[0]
        return F.normalize(embedding, dim=1)

    def cosines(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Return the cosines to the positive and to the negative prompts, ``(N, pairs)`` each."""
        return features @ self.prompts[:, 0].T, features @ self.prompts[:, 1].T

    def raw_logit(self, features: Tensor) -> Tensor:
        """Return the logit of the published score ``(N,)``."""
        positive, negative = self.cosines(features)
        return torch.logit(prompt_score(positive, negative, scale=LOGIT_SCALE), eps=_EDGE)

    def logit(self, features: Tensor) -> Tensor:
        """Return the score before the sigmoid ``(N, 1)`` of embeddings ``(N, E)``."""
        out: Tensor = self.scale(self.raw_logit(features)[:, None])
        return out

    def forward(self, x: Tensor) -> Tensor:
        return torch.sigmoid(self.logit(self.features(x)))


class DiscriminatorTeacher(nn.Module):
    """SFD-IQA's two discriminators: ``(N, 3, H, W)`` → ``(N, 1)`` in (0, 1), higher is better.

    The image encoder is frozen. Feat-D is two 1x1 convolutions on its third stage; the prompt pairs are the embeddings
    of antonym prompts plus a learnt offset each.
    """

    mean = CLIP_MEAN
    std = CLIP_STD
    prompts: Tensor

    def __init__(self, image: Mapping[str, Any], pairs: int, hidden: int = 256, prompt_scale: float = 10.0) -> None:
        super().__init__()
        self.image = ClipResNet(**image)
        self.architecture = {
            "image": self.image.architecture,
            "pairs": pairs,
            "hidden": hidden,
            "prompt_scale": prompt_scale,
        }
        self.prompt_scale = prompt_scale
        self.register_buffer("prompts", torch.zeros(pairs, 2, self.image.embedding))
        self.offsets = nn.Parameter(torch.zeros(pairs, 2, self.image.embedding))
        self.discriminator = nn.Sequential(
            nn.Conv2d(self.image.middle_channels, hidden, 1), nn.LeakyReLU(0.2), nn.Conv2d(hidden, 1, 1)
        )
        self.scale = LogitScale()
        self.image.requires_grad_(False)

    def judge(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return Feat-D's logit map ``(N, 1, h, w)``, the prompt margins ``(N, pairs)`` and the unit embedding."""
        with torch.no_grad():
            embedding, middle = self.image(x)
        unit = F.normalize(embedding, dim=1)
        return self.discriminator(middle), self.margins(unit), unit

    def margins(self, unit: Tensor) -> Tensor:
        """Return the scaled differences of the cosines to the two prompts of each pair, ``(N, pairs)``."""
        learnt = F.normalize(self.prompts + self.offsets, dim=2)
        return self.prompt_scale * (unit @ learnt[:, 0].T - unit @ learnt[:, 1].T)

    def features(self, x: Tensor) -> Tensor:
        """Return the unit embedding and, last, the score before it is scaled: ``(N, E + 1)``."""
        maps, margins, unit = self.judge(x)
        return torch.cat([unit, fused_logit(maps, margins)[:, None]], dim=1)

    def raw_logit(self, features: Tensor) -> Tensor:
        """Return the fused logit ``(N,)``."""
        return features[:, -1]

    def logit(self, features: Tensor) -> Tensor:
        """Return the score before the sigmoid ``(N, 1)`` of features ``(N, E + 1)``."""
        out: Tensor = self.scale(self.raw_logit(features)[:, None])
        return out

    def forward(self, x: Tensor) -> Tensor:
        return torch.sigmoid(self.logit(self.features(x)))


def prompt_table(vectors: Tensor, pairs: Sequence[tuple[str, str]]) -> Tensor:
    """Arrange unit vectors of the prompts, all positive ones first, as ``(pairs, 2, E)``."""
    return torch.stack([vectors[: len(pairs)], vectors[len(pairs) :]], dim=1)
