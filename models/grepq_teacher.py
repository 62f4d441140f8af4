"""GRepQ's zero-shot scorer: the distance of a picture's patches from pristine ones, and CLIP's opinion if wanted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edge_iqa.models.clip_resnet import ClipResNet
from edge_iqa.models.clip_teachers import LogitScale
from edge_iqa.models.objectives.grepq import high_level_score, low_level_score, niqe_distance
from edge_iqa.models.trunks import make_trunk

EMBEDDING = 128
_HIDDEN = 512
_MOST_PATCHES = 64  # that go through the trunk at once


class GRepQTeacher(nn.Module):
    """``(N, 3, H, W)`` → ``(N, 1)`` in (0, 1), higher is better.

    A trunk and a projection give 128 numbers per patch (``patch_px`` pixels, every ``patch_px / 2``). The score is
    Q_L, from NIQE's distance between the patches of the picture and those of the pristine bank, plus Q_H from CLIP's
    embedding where ``image`` gives its architecture. The published network is a ResNet-18 from random weights. Ours:
    the embeddings are made unit length before their mean and covariance are taken, as in the loss, and the score is
    shifted and scaled once after training to become a logit.
    """

    pristine_mean: Tensor
    pristine_covariance: Tensor
    prompts: Tensor
    clip_mean: Tensor
    clip_std: Tensor

    def __init__(self, backbone: str, image: Mapping[str, Any] | None = None, patch_px: int = 96) -> None:
        super().__init__()
        self.backbone = make_trunk(backbone)
        self.mean = self.backbone.mean
        self.std = self.backbone.std
        self.patch_px = patch_px
        self.projector = nn.Sequential(
            nn.Linear(self.backbone.channels, _HIDDEN), nn.ReLU(), nn.Linear(_HIDDEN, EMBEDDING)
        )
        self.register_buffer("pristine_mean", torch.zeros(EMBEDDING))
        self.register_buffer("pristine_covariance", torch.eye(EMBEDDING))
        self.image = None if image is None else ClipResNet(**image)
        self.architecture: dict[str, Any] = {"backbone": backbone, "image": None, "patch_px": patch_px}
        if self.image is not None:
            self.architecture["image"] = self.image.architecture
            self.register_buffer("prompts", torch.zeros(2, self.image.embedding))
        self.scale = LogitScale()

    def embed(self, x: Tensor) -> Tensor:
        """Return the unit embedding ``(N, 128)`` of patches or fragments ``(N, 3, h, w)``."""
        return F.normalize(self.projector(self.backbone(x).mean((2, 3))), dim=1)

    def prompt_cosines(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return CLIP's embedding ``(N, E)`` and its cosines to the good and the bad prompt ``(N, 2)``.

        Raises ValueError where the teacher was made without CLIP.
        """
        if self.image is None:
            raise ValueError("this teacher has no image-text model")
        ours = x.new_tensor([self.mean, self.std])[:, None, :, None, None]
        theirs = x.new_tensor([self.image.mean, self.image.std])[:, None, :, None, None]
        embedding: Tensor = self.image((x * ours[1] + ours[0] - theirs[0]) / theirs[1])[0]
        return embedding, F.normalize(embedding, dim=1) @ self.prompts.T

    def patches(self, x: Tensor, step_px: int) -> Tensor:
        """Cut ``(N, 3, H, W)`` into patches ``(N, P, 3, h, w)``, one every ``step_px``; a small side is one patch."""
        height, width = min(self.patch_px, x.shape[2]), min(self.patch_px, x.shape[3])
        cut = x.unfold(2, height, step_px).unfold(3, width, step_px)
        return cut.permute(0, 2, 3, 1, 4, 5).flatten(1, 2)

    def patch_statistics(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean ``(N, 128)`` and covariance ``(N, 128, 128)`` of the patch embeddings of pictures."""
        patches = self.patches(x, max(1, self.patch_px // 2))
        embedded = torch.cat([self.embed(part) for part in torch.split(patches.flatten(0, 1), _MOST_PATCHES)])
        return moments(embedded.reshape(*patches.shape[:2], EMBEDDING))

    def features(self, x: Tensor) -> Tensor:
        """Return the mean patch embedding, the distance from pristine and, with CLIP, its two cosines."""
        mean, covariance = self.patch_statistics(x)
        distance = niqe_distance(self.pristine_mean, self.pristine_covariance, mean, covariance)
        parts = [mean, distance[:, None]]
        if self.image is not None:
            parts.append(self.prompt_cosines(x)[1])
        return torch.cat(parts, dim=1)

    def raw_logit(self, features: Tensor) -> Tensor:
        """Return Q_L, or Q_L + Q_H with CLIP, ``(N,)``."""
        score = low_level_score(features[:, EMBEDDING])
        if self.image is not None:
            score = score + high_level_score(features[:, EMBEDDING + 1], features[:, EMBEDDING + 2])
        return score

    def logit(self, features: Tensor) -> Tensor:
        """Return the score before the sigmoid ``(N, 1)``."""
        out: Tensor = self.scale(self.raw_logit(features)[:, None])
        return out

    def forward(self, x: Tensor) -> Tensor:
        return torch.sigmoid(self.logit(self.features(x)))


def moments(embedded: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean ``(N, D)`` and covariance ``(N, D, D)`` over the patches of ``(N, P, D)``."""
    mean = embedded.mean(1)
    centred = embedded - mean[:, None]
    return mean, centred.transpose(1, 2) @ centred / embedded.shape[1]
