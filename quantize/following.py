"""Train a network to give what another gives on the same pixels: a student that is changed, and itself as it was.

The logit is compared, and every feature that it is read from: one number per picture says too little of where a change
went wrong. Pictures are cut and changed anew each time (``VariedCrops``); rebuilt on fixed crops, HiRQA-S drifted more
on other pictures.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edge_iqa.models.synthesis import SyntheticSet
from edge_iqa.models.teacher import TeacherSpec, learnt_from
from edge_iqa.models.training_checkpoint import RunState, save_checkpoint
from edge_iqa.quantize.batches import Normalisation
from edge_iqa.quantize.head import read
from edge_iqa.quantize.reporting import Trained
from edge_iqa.quantize.varied_crops import VariedCrops

CHECKPOINT_EVERY = 50  # steps
PORTION = 8  # pictures


def follow(
    network: nn.Module,
    wanted: nn.Module,
    shown: Sequence[Tensor],
    pictures: Callable[[int], Tensor],
    optimizer: torch.optim.Optimizer,
    rates: Sequence[float],
    run: RunState,
    steps: int,
    progress: Trained,
    *,
    feature_weight: float = 1.0,
    checkpoint: Path | None = None,
) -> None:
    """Train ``network`` from the step of ``run`` to ``steps``, in place, towards what ``wanted`` gives.

    ``pictures`` gives the normalised batch ``(N, 3, H, W)`` of a step; ``shown`` are batches that tell how far each
    feature varies. ``rates`` are those of the optimizer's groups; they fall to zero along a half cosine.
    """
    if run.step >= steps:
        return
    with torch.no_grad():
        spread = torch.cat([read(wanted, batch)[0] for batch in shown]).std(0).clamp(min=1e-3)
    for step in range(run.step, steps):
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * 0.5 * (1 + math.cos(math.pi * step / steps))
        batch = pictures(step)
        with torch.no_grad():
            features, logits = read(wanted, batch)
        found_features, found_logits = read(network, batch)
        loss = F.smooth_l1_loss(found_logits, logits, beta=0.1)
        loss = loss + feature_weight * ((found_features - features) / spread).square().mean()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        progress(step + 1, steps, float(loss.detach()))
        if checkpoint is not None and ((step + 1) % CHECKPOINT_EVERY == 0 or step + 1 == steps):
            save_checkpoint(checkpoint, network, optimizer, replace(run, step=step + 1))


def varied_crops(data: SyntheticSet, seed: int) -> VariedCrops:
    """Return the crops of a set's pictures that follow from ``seed``."""
    return VariedCrops(data, learnt_from(data, TeacherSpec()), seed)


def varied_pictures(pixels: Normalisation, crops: VariedCrops, count: int, size: int) -> list[Tensor]:
    """Return at least ``count`` crops of ``size`` pixels, normalised, in batches ``(PORTION, 3, size, size)``."""
    return [pixels(crops.batch(portion, PORTION, size)) for portion in range(math.ceil(count / PORTION))]
