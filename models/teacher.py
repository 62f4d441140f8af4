"""Train the shipped teacher: stage statistics of a frozen trunk, ranked by HiRQA's objective, no human score.

The target of a picture is the mean of its ranks under several full-reference metrics, made to agree with what is
known for certain: inside a series of rising levels it never rises. Only the linear head learns, so the features of
every picture are computed once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edge_iqa.models.degradations import CAMERA_GROUPS, DEGRADATIONS, Step
from edge_iqa.models.objectives.hirqa import hirqa_loss
from edge_iqa.models.stage_statistics import StageStatistics
from edge_iqa.models.synthesis import SyntheticSet


class TeacherNetwork(Protocol):
    """What distillation needs of a teacher: pooled features of normalised pictures, and their logit."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def features(self, x: Tensor) -> Tensor:
        """Return features ``(N, F)`` of normalised pictures ``(N, 3, H, W)``."""

    def logit(self, features: Tensor) -> Tensor:
        """Return the score before the sigmoid ``(N, 1)``."""


CAMERA_LIKE = (
    *(name for name, item in DEGRADATIONS.items() if item.group in CAMERA_GROUPS),
    *("gaublur", "lensblur", "motionblur", "jpeg", "jpeg2000", "whitenoise", "brighten", "darken", "lincontrchange"),
)
"""Degradations that pictures meet in the field: all of the camera groups, and nine of the published 24."""


@dataclass(frozen=True)
class TeacherSpec:
    """How the head is trained.

    ``penalty`` is the weight of the squared norm of the head on standardised features. It is strong on purpose: with
    less of it the order of synthetic distortions is learnt better and that of real photographs worse. ``degradations``
    names those whose pictures are learnt from (empty: all): what cameras, air and codecs do, not what is only easy to
    program. Pictures with a step above ``most_level`` are left out: real pictures are mildly damaged, and the order of
    ruins would take most of the head's room. ``logit_spread`` is the standard deviation to which the logits of the
    training pictures are scaled in the end.
    """

    metrics: tuple[str, ...] = ("fsim",)
    steps: int = 500
    batch_crops: int = 48
    learning_rate: float = 0.01
    penalty: float = 2.0
    order_weight: float = 1.0
    pair_weight: float = 1.0
    degradations: tuple[str, ...] = CAMERA_LIKE
    most_level: int = 2
    logit_spread: float = 1.0
    seed: int = 0


def quality_targets(data: SyntheticSet, metrics: tuple[str, ...]) -> NDArray[np.float32]:
    """Return the target of every picture ``(C, VERSIONS)`` float32 in [0, 1], higher is better."""
    ranks = [_fractional_ranks(data.metrics[name].reshape(-1)) for name in metrics]
    target = np.mean(ranks, axis=0).reshape(data.series.shape)
    for crop, series in enumerate(data.series):
        for number in range(int(series.max()) + 1):
            members = np.flatnonzero(series == number)  # in order of rising level
            target[crop, members] = np.minimum.accumulate(target[crop, members])
    return np.asarray(target, np.float32)


def learnt_from(data: SyntheticSet, spec: TeacherSpec) -> NDArray[np.bool_]:
    """Return which pictures ``(C, VERSIONS)`` hold none but the degradations and levels of ``spec``."""
    names = set(spec.degradations or DEGRADATIONS)

    def allowed(steps: tuple[Step, ...]) -> bool:
        return all(step.name in names and step.level <= spec.most_level for step in steps)

    return np.array([[allowed(steps) for steps in crop] for crop in data.steps])


def _fractional_ranks(values: NDArray[np.float32]) -> NDArray[np.float64]:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    middle = np.cumsum(counts) - (counts + 1) / 2
    ranks: NDArray[np.float64] = middle[inverse] / max(len(values) - 1, 1)
    return ranks


@torch.no_grad()
def extract_features(
    network: TeacherNetwork,
    data: SyntheticSet,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Tensor:
    """Return the features of every picture ``(C, VERSIONS, F)`` float32; ``network`` is in evaluation mode."""
    rows: list[Tensor] = []
    for index, pictures in enumerate(data.pictures):
        batch = normalised(torch.from_numpy(np.array(pictures)), network.mean, network.std)
        rows.append(network.features(batch.contiguous(memory_format=torch.channels_last)))
        progress(index + 1, len(data.pictures))
    return torch.stack(rows)


def normalised(pictures: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """Turn uint8 ``(N, H, W, 3)`` into normalised float32 ``(N, 3, H, W)``."""
    scaled = (pictures.float() / 255 - torch.tensor(mean)) / torch.tensor(std)
    return scaled.permute(0, 3, 1, 2).contiguous()


def fit_head(
    network: StageStatistics, features: Tensor, targets: Tensor, spec: TeacherSpec, used: Tensor | None = None
) -> list[float]:
    """Train the head of ``network`` in place; return the losses.

    ``features`` ``(C, V, F)`` and ``targets`` ``(C, V)``; of each crop only the pictures in ``used`` ``(C, V)`` count.
    """
    used = torch.ones(targets.shape, dtype=torch.bool) if used is None else used
    flat = features[used]
    network.centre.copy_(flat.mean(0))
    network.spread.copy_(flat.std(0).clamp(min=1e-3))
    torch.nn.init.zeros_(network.fc.weight)
    torch.nn.init.zeros_(network.fc.bias)
    optimizer = torch.optim.SGD(network.fc.parameters(), lr=spec.learning_rate, momentum=0.9)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, spec.steps)
    generator = torch.Generator().manual_seed(spec.seed)
    losses: list[float] = []
    for _ in range(spec.steps):
        crops = torch.randperm(len(features), generator=generator)[: spec.batch_crops]
        drawn = used[crops]
        scores = torch.sigmoid(network.logit(features[crops][drawn])).squeeze(1)
        loss = hirqa_loss(
            scores,
            targets[crops][drawn],
            order_weight=spec.order_weight,
            pair_weight=spec.pair_weight,
            generator=generator,
        )
        optimizer.zero_grad()
        (loss + spec.penalty * network.fc.weight.square().sum()).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        losses.append(float(loss.detach()))
    _spread_scores(network, flat, spec.logit_spread)
    return losses


@torch.no_grad()
def _spread_scores(network: StageStatistics, features: Tensor, spread: float) -> None:
    """Scale the head so that the training pictures' logits have mean 0 and deviation ``spread``; no order changes."""
    logits = network.logit(features)
    factor = spread / float(logits.std().clamp(min=1e-6))
    network.fc.bias.sub_(logits.mean()).mul_(factor)
    network.fc.weight.mul_(factor)
