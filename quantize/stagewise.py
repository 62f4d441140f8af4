"""Distill a network of stages from random weights: each learns from the teacher's map before it is handed its own.

Trained from end to end, every stage waits for those before it. Here stage k is first given what the teacher sees at
the end of stage k - 1, and learns what the teacher sees at the end of stage k: four small networks, each with its own
input and its own target. Then they are joined: of each picture each stage reads the teacher's map with a probability
that falls from one to nothing, else what the stage before it made. From there on it is one network, and what its early
stages make matters less for itself (``EARLY_WEIGHT``) than for the last, which the score is read from.

The teacher's maps have both signs and are written as they pass a ReLU: the positive parts of z and of -z, in a
channel each, where z is a channel scaled to mean 0 and deviation 1. What is left of a stage's channels is its own. From
such a pair a mean over positions also tells how far z spreads, which is what the teacher's own head reads.

Distilling block by block is DNA's (Li et al., "Blockwisely Supervised Neural Architecture Search with Knowledge
Distillation", CVPR 2020), falling probabilities are those of scheduled sampling (Bengio et al., NeurIPS 2015); their
use together, and the pairs, are ours.
"""

from __future__ import annotations

import copy
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edge_iqa.models.hirqa import HiRQA
from edge_iqa.models.teacher import normalised
from edge_iqa.models.training_checkpoint import RunState, go_on, save_checkpoint
from edge_iqa.quantize.distill import (
    CHECKPOINT_EVERY,
    descend,
    freeze_statistics,
    learning_rate_share,
    order_loss,
    settling_rate_share,
    trained_in,
)
from edge_iqa.quantize.reach import REACH, reaching
from edge_iqa.quantize.recipe import FloatStage
from edge_iqa.quantize.reporting import Trained
from edge_iqa.quantize.varied_crops import VariedCrops

EARLY_WEIGHT = 0.25
REACH_WEIGHT = 10.0
_CROPS_FOR_SCALE = 192
_FIRST_FOR_SCALE = 2**32  # no run has as many steps
_LEAST_DEVIATION = 1e-3
_HALF_SQUARE = 0.34  # mean square about its mean of the positive part of a normal variable


@runtime_checkable
class StagedTeacher(Protocol):
    """A teacher that tells its maps at the end of each stage, and one more of the last."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def features_and_stages(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return pooled features ``(N, F)``, and maps ``(N, C, h, w)`` at strides 4, 8, 16, 32 and 32."""

    def logit(self, features: Tensor) -> Tensor:
        """Return the score before the sigmoid ``(N, 1)``."""


class _Lessons:
    """What the teacher says of crops: logits ``(N,)``, and its maps with every channel at mean 0 and deviation 1."""

    def __init__(self, teacher: StagedTeacher, crops: VariedCrops, size: int) -> None:
        self.teacher = teacher
        seen = [
            self._ask(crops.batch(_FIRST_FOR_SCALE + index, 32, size))[1] for index in range(_CROPS_FOR_SCALE // 32)
        ]
        whole = [torch.cat(maps) for maps in zip(*seen, strict=True)]
        self.channels = [maps.shape[1] for maps in whole]
        self.mean = [maps.mean((0, 2, 3))[:, None, None] for maps in whole]
        self.deviation = [maps.std((0, 2, 3)).clamp(min=_LEAST_DEVIATION)[:, None, None] for maps in whole]

    @torch.no_grad()
    def _ask(self, pixels: Tensor) -> tuple[Tensor, list[Tensor]]:
        x = normalised(pixels, self.teacher.mean, self.teacher.std).contiguous(memory_format=torch.channels_last)
        features, maps = self.teacher.features_and_stages(x)
        return self.teacher.logit(features).squeeze(1), maps

    def of(self, pixels: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return logits and scaled maps of crops, uint8 ``(N, S, S, 3)``."""
        logits, maps = self._ask(pixels)
        return logits, [(x - m) / s for x, m, s in zip(maps, self.mean, self.deviation, strict=True)]


def as_pairs(z: Tensor) -> Tensor:
    """Return the positive parts of ``z`` ``(N, C, h, w)`` and of ``-z``, ``(N, 2C, h, w)``."""
    return torch.cat([torch.relu(z), torch.relu(-z)], 1)


def run_stages(student: HiRQA, x: Tensor, maps: list[Tensor], given: float, generator: torch.Generator) -> list[Tensor]:
    """Return what each stage makes of normalised pictures ``(N, 3, H, W)``.

    Of each picture each stage but the first reads the teacher's map of the stage before with probability ``given``.
    """
    first, *others = student.stages
    made = [first(x)]
    for stage, z in zip(others, maps, strict=False):
        own = made[-1]
        if given > 0:
            pairs = as_pairs(z).to(own.dtype)
            pairs = F.pad(pairs, (0, 0, 0, 0, 0, own.shape[1] - pairs.shape[1]))
            own = torch.where(torch.rand(len(x), 1, 1, 1, generator=generator) < given, pairs, own)
        made.append(stage(own))
    return made


def map_losses(made: list[Tensor], maps: list[Tensor], last: nn.Module) -> Tensor:
    """Return the squared errors ``(5,)`` of each stage's first channels and of what ``last`` reads, against the maps.

    They are means, in shares of what a constant would leave.
    """
    losses = [
        F.mse_loss(own[:, : 2 * z.shape[1]].float(), as_pairs(z)) / _HALF_SQUARE
        for own, z in zip(made, maps, strict=False)
    ]
    return torch.stack([*losses, F.mse_loss(last(made[-1]).float(), maps[-1])])


def distill_stagewise(
    student: HiRQA,
    teacher: StagedTeacher,
    crops: VariedCrops,
    spec: FloatStage,
    seed: int,
    progress: Trained,
    *,
    checkpoint: Path | None = None,
    made_from: str = "",
) -> None:
    """Train ``student`` in place for ``spec.all_steps``; ``progress`` gets step, steps and loss.

    Through the first quarter of ``spec.staged_steps`` all maps are the teacher's, by their end none. The teacher is
    asked about every crop. Every round has the rates and sizes of the first: warm restarts are of SGDR (Loshchilov &
    Hutter, 2017). A student with ``spec.finish_steps`` ends as the mean of what it was before and after them, as in
    stochastic weight averaging (Izmailov et al., 2018); batch statistics stand still between the two. Goes on from
    ``checkpoint`` like ``distill``.
    """
    torch.manual_seed(seed)
    lessons = _Lessons(teacher, crops, spec.crop_size)
    last = nn.Conv2d(student.map_channels[-1], lessons.channels[-1], 1)
    parameters = [*student.parameters(), *last.parameters()]
    before = copy.deepcopy(student).requires_grad_(False)  # what the rounds made of it
    network = nn.ModuleDict({"student": student, "last": last, **({"before": before} if spec.finish_steps else {})})
    optimizer = torch.optim.AdamW(parameters, lr=spec.learning_rate, weight_decay=spec.weight_decay)
    halved = trained_in(spec) == "bfloat16"
    run = go_on(
        checkpoint,
        network,
        optimizer,
        RunState(0, (), f"{made_from} {spec!r} {seed}{' bfloat16' if halved else ''}", "", {}),
    )
    network.train().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    total = spec.all_steps
    for step in range(run.step, total):
        if step == total - spec.finish_steps:
            before.load_state_dict(student.state_dict())
        of_round, share = _pace(step, spec)
        student.train()
        if of_round >= spec.steps:
            freeze_statistics(student)
        for group in optimizer.param_groups:
            group["lr"] = spec.learning_rate * share
        pixels = crops.batch(step, *spec.crops_at(of_round))
        wanted, maps = lessons.of(pixels)
        x = normalised(pixels, student.mean, student.std).contiguous(memory_format=torch.channels_last)
        generator = torch.Generator().manual_seed(seed + step)
        short = step >= total - spec.reach_steps
        if short:
            maps = [z.clamp(-REACH, REACH) for z in maps]  # nothing is asked for that counts against it
        watched = reaching(student) if short else nullcontext()
        with torch.autocast("cpu", torch.bfloat16, enabled=halved), watched as far:
            given = share_given(step, spec)
            made = run_stages(student, x, maps, given, generator)
            losses = map_losses(made, maps, last)
            early = EARLY_WEIGHT + (1 - EARLY_WEIGHT) * given
            logits = student.fc[0](student.read(made)).squeeze(1).float()
        loss = (
            spec.map_weight * (early * losses[:-2].sum() + losses[-2:].sum())
            + spec.score_weight * F.smooth_l1_loss(logits, wanted, beta=0.5)
            + spec.ranking_weight * order_loss(logits, wanted)
        )
        if far is not None:
            loss = loss + REACH_WEIGHT * torch.stack(far).sum()
        descend(loss, optimizer, parameters, most_norm=10.0)
        progress(step + 1, total, float(loss.detach()))
        if checkpoint is not None and (step + 1) % CHECKPOINT_EVERY == 0:
            save_checkpoint(checkpoint, network, optimizer, replace(run, step=step + 1))
    if spec.finish_steps:
        with torch.no_grad():
            for after, earlier in zip(student.parameters(), before.parameters(), strict=True):
                after.lerp_(earlier, 0.5)
    network.eval().to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]


def _pace(step: int, spec: FloatStage) -> tuple[int, float]:
    """Return which step of a round comes, the end of one where all are done, and the share of the learning rate."""
    since = step - spec.rounds * spec.round_steps
    if since >= 0:
        return spec.round_steps, settling_rate_share(since / spec.finish_steps)
    of_round = step % spec.round_steps
    return of_round, learning_rate_share(of_round, spec)


def share_given(step: int, spec: FloatStage) -> float:
    """Return the probability that a stage reads the teacher's map: 1 in a quarter of ``staged_steps``, 0 after them."""
    alone = spec.staged_steps / 4
    return min(1.0, max(0.0, (spec.staged_steps - step) / max(1.0, spec.staged_steps - alone)))
