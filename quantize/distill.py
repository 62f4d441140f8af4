"""Distill a teacher into a float student: scores, order, and what the teacher sees.

Three terms, ours: the student's logit against the teacher's (smooth L1, so that the ends of the sigmoid count too);
the order of all pairs in a batch (hinge on the logits' differences); and a linear read-out of the student's pooled
features against the leading principal components of the teacher's, which carries more than one number per picture.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edge_iqa.models.lite import TAP_WIDTHS, HirqaSLite
from edge_iqa.models.synthesis import SyntheticSet
from edge_iqa.models.teacher import TeacherNetwork, normalised
from edge_iqa.quantize.recipe import FloatStage

COMPONENTS = 64
Progress = Callable[[int, int, float], None]


@dataclass(frozen=True)
class TeacherTargets:
    """What the teacher says of every picture of a set: ``logits`` ``(C, V)``, ``components`` ``(C, V, 64)``."""

    logits: Tensor
    components: Tensor


@torch.no_grad()
def teacher_targets(teacher: TeacherNetwork, features: Tensor) -> TeacherTargets:
    """Return the teacher's logits and the leading whitened components of its features ``(C, V, F)``."""
    flat = features.flatten(0, 1)
    logits = teacher.logit(flat).squeeze(1)
    flat = (flat - flat.mean(0)) / flat.std(0).clamp(min=1e-3)
    count = min(COMPONENTS, *flat.shape)
    torch.manual_seed(0)
    _, _, directions = torch.pca_lowrank(flat, q=count, niter=4)
    components = flat @ directions
    components = components / components.std(0).clamp(min=1e-6)
    shape = features.shape[:2]
    return TeacherTargets(logits.reshape(shape), components.reshape(*shape, count))


def batches(
    data: SyntheticSet, batch: int, crop_size: int, steps: int, generator: torch.Generator
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Yield ``steps`` batches: pictures uint8 ``(B, S, S, 3)``, their crop numbers and version numbers ``(B,)``.

    Every picture of the set comes once before any comes again; cut and mirrored at random.
    """
    count, versions, size = data.pictures.shape[:3]
    order = torch.empty(0, dtype=torch.int64)
    for _ in range(steps):
        while len(order) < batch:
            order = torch.cat([order, torch.randperm(count * versions, generator=generator)])
        chosen, order = order[:batch], order[batch:]
        room = size - crop_size + 1
        corner = torch.randint(room, (batch, 2), generator=generator).tolist()
        mirrored = (torch.rand(batch, generator=generator) < 0.5).tolist()
        pictures = []
        for flat, (top, left), mirror in zip(chosen.tolist(), corner, mirrored, strict=True):
            picture = data.pictures[flat // versions, flat % versions, top : top + crop_size, left : left + crop_size]
            pictures.append(np.array(picture[:, ::-1] if mirror else picture))
        yield torch.from_numpy(np.stack(pictures)), chosen // versions, chosen % versions


def order_loss(student: Tensor, teacher: Tensor, least_gap: float = 0.05) -> Tensor:
    """Return the mean shortfall of the student's logit differences ``(B,)`` against half the teacher's, a scalar."""
    gap = teacher[:, None] - teacher[None, :]
    shortfall = torch.relu(0.5 * gap - (student[:, None] - student[None, :]))
    counted = gap > least_gap
    return shortfall[counted].sum() / counted.sum().clamp(min=1)


def freeze_trunk_statistics(student: HirqaSLite) -> None:
    """Keep the trunk's batch statistics as pretrained; small batches of one crop size would spoil them."""
    for module in student.trunk.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()


def distill(
    student: HirqaSLite,
    data: SyntheticSet,
    targets: TeacherTargets,
    spec: FloatStage,
    seed: int,
    progress: Progress,
) -> None:
    """Train ``student`` in place for ``spec.steps`` steps; ``progress`` gets step, steps and the loss."""
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    reader = nn.Linear(sum(TAP_WIDTHS), targets.components.shape[2])
    groups: list[dict[str, Any]] = [
        {"params": student.trunk.parameters(), "lr": spec.trunk_learning_rate},
        {"params": [*student.readers.parameters(), *student.fc.parameters(), *reader.parameters()]},
    ]
    optimizer = torch.optim.AdamW(groups, lr=spec.learning_rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, [spec.trunk_learning_rate, spec.learning_rate], spec.steps, pct_start=0.1
    )
    student.train()
    freeze_trunk_statistics(student)
    for step, (pictures, crops, versions) in enumerate(
        batches(data, spec.batch, spec.crop_size, spec.steps, generator)
    ):
        pixels = normalised(pictures, student.mean, student.std).contiguous(memory_format=torch.channels_last)
        embedding = student.embed(pixels)
        logits = student.fc[0](embedding).squeeze(1)
        wanted = targets.logits[crops, versions]
        loss = (
            spec.score_weight * F.smooth_l1_loss(logits, wanted, beta=0.5)
            + spec.ranking_weight * order_loss(logits, wanted)
            + spec.feature_weight * F.mse_loss(reader(embedding), targets.components[crops, versions])
        )
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(student.parameters(), 5.0)
        optimizer.step()
        schedule.step()
        progress(step + 1, spec.steps, float(loss.detach()))
    student.eval()


@torch.no_grad()
def refit_head(
    student: HirqaSLite, data: SyntheticSet, targets: TeacherTargets, *, pictures: int = 2400, penalty: float = 100.0
) -> None:
    """Solve the linear head for the teacher's logits by ridge regression on whole pictures, in place.

    Gradient descent leaves the head where its last noisy batches put it. The exact solution over ``pictures`` pictures
    agrees better with the teacher; ``penalty`` is on features scaled to unit deviation.
    """
    crops = np.linspace(0, len(data.pictures) - 1, min(len(data.pictures), -(-pictures // data.pictures.shape[1])))
    chosen = np.unique(crops.astype(int))
    embeddings = torch.cat(
        [
            student.embed(
                normalised(torch.from_numpy(np.array(data.pictures[crop])), student.mean, student.std).contiguous(
                    memory_format=torch.channels_last
                )
            )
            for crop in chosen
        ]
    )
    wanted = targets.logits[chosen].flatten().double()
    centre, spread = embeddings.mean(0), embeddings.std(0).clamp(min=1e-4)
    scaled = ((embeddings - centre) / spread).double()
    gram = scaled.T @ scaled + penalty * torch.eye(scaled.shape[1], dtype=torch.float64)
    weight = torch.linalg.solve(gram, scaled.T @ (wanted - wanted.mean())).float() / spread
    head = student.fc[0]
    assert isinstance(head, nn.Linear)
    head.weight.copy_(weight[None])
    head.bias.copy_(wanted.mean().float() - weight @ centre)
