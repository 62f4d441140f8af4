"""Distill a teacher into a float student: scores, order, and what the teacher sees.

Four terms, ours: the student's logit against the teacher's (smooth L1, so that the ends of the sigmoid count too);
the order of all pairs in a batch (hinge on the logits' differences); a linear read-out of the student's pooled
features against the leading principal components of the teacher's; and a linear read-out of the student's stages
against the teacher's maps, position by position (FitNets, Romero et al., ICLR 2015).

A network sees the border of a small crop everywhere, and at a stride of 32 that of a camera's picture hardly anywhere.
So a run may end with larger crops (``FloatStage.last_steps``).

In training, batch norm scales each batch by its own statistics; in use, by those kept from all. A network trained from
random weights has never seen what that makes of an unusual picture: in the last stage of HiRQA-S, 6 of 128 training
pictures reached 13 to 180 times as far as the median under kept statistics, and 12 times at most under those of the
batch. So a run may settle (``FloatStage.settle_steps``): the statistics stand still, and what they make of such
pictures is trained away. That is ours.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edge_iqa.models.student import StudentNetwork
from edge_iqa.models.synthesis import SyntheticSet
from edge_iqa.models.teacher import TeacherNetwork, normalised
from edge_iqa.models.training_checkpoint import RunState, go_on, save_checkpoint
from edge_iqa.quantize.batches import Batch, batches
from edge_iqa.quantize.recipe import FloatStage
from edge_iqa.quantize.reporting import Trained
from edge_iqa.quantize.teacher_maps import TeacherMaps

COMPONENTS = 64
CHECKPOINT_EVERY = 250  # steps
SETTLING_RATE = 0.2


@dataclass(frozen=True)
class TeacherTargets:
    """What the teacher says of every picture of a set.

    ``logits`` ``(C, V)``, ``components`` ``(C, V, 64)``; ``maps`` is what it sees where, if it tells (``TeacherMaps``).
    """

    logits: Tensor
    components: Tensor
    maps: TeacherMaps | None = None


@torch.no_grad()
def teacher_targets(teacher: TeacherNetwork, features: Tensor) -> TeacherTargets:
    """Return the teacher's logits and the leading whitened components of its features ``(C, V, F)``.

    Both are NaN for a picture whose features are NaN, because the teacher was not asked about it.
    """
    known = features.isfinite().all(2)
    flat = features[known]
    logits = features.new_full(known.shape, torch.nan)
    logits[known] = teacher.logit(flat).squeeze(1)
    flat = (flat - flat.mean(0)) / flat.std(0).clamp(min=1e-3)
    count = min(COMPONENTS, *flat.shape)
    torch.manual_seed(0)
    _, _, directions = torch.pca_lowrank(flat, q=count, niter=4)
    found = flat @ directions
    components = features.new_full((*known.shape, count), torch.nan)
    components[known] = found / found.std(0).clamp(min=1e-6)
    return TeacherTargets(logits, components)


def order_loss(student: Tensor, teacher: Tensor, least_gap: float = 0.05) -> Tensor:
    """Return the mean shortfall of the student's logit differences ``(B,)`` against half the teacher's, a scalar."""
    gap = teacher[:, None] - teacher[None, :]
    shortfall = torch.relu(0.5 * gap - (student[:, None] - student[None, :]))
    counted = gap > least_gap
    return shortfall[counted].sum() / counted.sum().clamp(min=1)


class _Readers(nn.Module):
    """The read-outs that exist only in training: components from the embedding, the teacher's maps from the stages."""

    def __init__(self, student: StudentNetwork, targets: TeacherTargets) -> None:
        super().__init__()
        head, channels = student.fc[0], student.map_channels
        assert isinstance(head, nn.Linear)
        self.components = nn.Linear(head.in_features, targets.components.shape[2])
        known = {} if targets.maps is None else dict(zip(targets.maps.strides, targets.maps.channels, strict=True))
        self.stage = {stride: index for index, stride in enumerate(student.map_strides) if stride in known}
        self.maps = nn.ModuleDict(
            {str(stride): nn.Conv2d(channels[index], known[stride], 1) for stride, index in self.stage.items()}
        )

    def map_loss(self, stages: list[Tensor], batch: Batch, maps: TeacherMaps) -> Tensor:
        """Return the mean squared error over maps scaled to unit deviation per channel, a scalar."""
        losses = [
            F.mse_loss(self.maps[str(stride)](stages[index]), maps.cut(stride, batch))
            for stride, index in self.stage.items()
        ]
        return torch.stack(losses).mean()


def freeze_statistics(student: StudentNetwork) -> None:
    """Keep all batch statistics as pretrained; small batches of one crop size would spoil them."""
    for module in student.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()


def trained_in(spec: FloatStage) -> str:
    """Return what a stage computes in here: ``bfloat16`` if it may and the processor multiplies it, or ``float32``."""
    known: Mapping[str, object] = getattr(torch.cpu, "get_capabilities", dict)()  # {} in an older torch
    return "bfloat16" if spec.bfloat16 and (known.get("avx512_bf16") or known.get("amx_bf16")) else "float32"


def distill(
    student: StudentNetwork,
    data: SyntheticSet,
    targets: TeacherTargets,
    spec: FloatStage,
    seed: int,
    progress: Trained,
    *,
    pretrained: bool = True,
    checkpoint: Path | None = None,
    made_from: str = "",
) -> None:
    """Train ``student`` in place for ``spec.steps`` and ``spec.settle_steps``; ``progress`` gets step, steps and loss.

    The batch statistics of a ``pretrained`` student stay as they are.

    Where a run was stopped, it goes on from ``checkpoint`` if that is of the same run (``made_from``, recipe and data),
    and ends with the same weights as an unbroken one.
    """
    torch.manual_seed(seed)
    network = nn.ModuleDict({"student": student, "readers": _Readers(student, targets)})
    readers = network["readers"]
    assert isinstance(readers, _Readers)
    parameters = list(network.parameters())
    rates = (spec.trunk_learning_rate, spec.learning_rate)
    trunk = {*student.parameters()} - {*student.fc.parameters()}
    groups: list[dict[str, Any]] = [
        {"params": [parameter for parameter in parameters if parameter in trunk]},
        {"params": [parameter for parameter in parameters if parameter not in trunk]},
    ]
    optimizer = torch.optim.AdamW(groups, lr=spec.learning_rate, weight_decay=spec.weight_decay)
    halved = trained_in(spec) == "bfloat16"
    run = go_on(
        checkpoint,
        network,
        optimizer,
        RunState(0, (), f"{made_from} {spec!r} {seed}{' bfloat16' if halved else ''}", data.data_sha256, {}),
    )
    logits_wanted, components_wanted = targets.logits.flatten(), targets.components.flatten(0, 1)
    network.train().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if pretrained:
        freeze_statistics(student)
    total = spec.round_steps
    for step, batch in enumerate(_batches(data, spec, seed, run.step), run.step):
        if step >= spec.steps:
            freeze_statistics(student)
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * learning_rate_share(step, spec)
        pixels = normalised(batch.pixels, student.mean, student.std).contiguous(memory_format=torch.channels_last)
        wanted = logits_wanted[batch.pictures]
        with torch.autocast("cpu", torch.bfloat16, enabled=halved):
            stages = student.maps(pixels)
            embedding = student.read(stages)
            logits = student.fc[0](embedding).squeeze(1).float()
            loss = (
                spec.score_weight * F.smooth_l1_loss(logits, wanted, beta=0.5)
                + spec.ranking_weight * order_loss(logits, wanted)
                + spec.feature_weight * F.mse_loss(readers.components(embedding), components_wanted[batch.pictures])
            )
            if targets.maps is not None and readers.stage and spec.map_weight > 0:
                loss = loss + spec.map_weight * readers.map_loss(stages, batch, targets.maps)
        descend(loss, optimizer, parameters, most_norm=5.0)
        progress(step + 1, total, float(loss.detach()))
        if checkpoint is not None and (step + 1) % CHECKPOINT_EVERY == 0:
            save_checkpoint(checkpoint, network, optimizer, replace(run, step=step + 1))
    network.eval().to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]


def _batches(data: SyntheticSet, spec: FloatStage, seed: int, first_step: int) -> Iterator[Batch]:
    """Yield the batches from ``first_step`` on: small crops, then as many pixels a step in crops of the last size."""
    turn, end = spec.steps - spec.last_steps, spec.round_steps
    yield from batches(data, spec.batch, spec.crop_size, turn, seed, first_step=first_step)
    if end > turn:
        yield from batches(data, *spec.crops_at(turn), end, seed, first_step=max(first_step, turn))


def descend(
    loss: Tensor, optimizer: torch.optim.Optimizer, parameters: Sequence[nn.Parameter], *, most_norm: float
) -> None:
    """Take one step down ``loss``; gradients longer than ``most_norm`` together are shortened to it."""
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(parameters, most_norm)
    optimizer.step()


def settling_rate_share(progress: float) -> float:
    """Return the share of the full learning rate while a student settles: a cosine to zero at ``progress`` 1."""
    return SETTLING_RATE * 0.5 * (1 + math.cos(math.pi * progress))


def learning_rate_share(step: int, spec: FloatStage) -> float:
    """Return the share of the full learning rate: a rise over 5 % of ``steps``, a cosine to zero, then settling."""
    if step >= spec.steps:
        return settling_rate_share((step - spec.steps) / spec.settle_steps)
    progress = step / spec.steps
    return progress / 0.05 if progress < 0.05 else 0.5 * (1 + math.cos(math.pi * (progress - 0.05) / 0.95))
