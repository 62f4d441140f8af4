"""Train a network to give what another gives on the same pixels: a student that is changed, and itself as it was.

The logit is compared, and every feature that it is read from: one number per picture says too little of where a change
went wrong. Pictures are cut and changed anew each time (``VariedCrops``); rebuilt on fixed crops, HiRQA-S drifted more
on other pictures.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

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
_PICTURES_FOR_SPREAD = 128


class Steps(Protocol):
    """What a stage of training says of its steps; ``pictures`` is how many crops are looked at before them."""

    @property
    def steps(self) -> int: ...
    @property
    def batch(self) -> int: ...
    @property
    def crop_size(self) -> int: ...
    @property
    def pictures(self) -> int: ...


def follow(
    network: nn.Module,
    wanted: nn.Module,
    pixels: Normalisation,
    data: SyntheticSet,
    spec: Steps,
    seed: int,
    optimizer: torch.optim.Optimizer,
    rates: Sequence[float],
    run: RunState,
    progress: Trained,
    *,
    feature_weight: float = 1.0,
    checkpoint: Path | None = None,
) -> None:
    """Train ``network`` from the step of ``run`` to the last of ``spec``, in place, towards what ``wanted`` gives.

    ``rates`` are those of the optimizer's groups; they fall to zero along a half cosine. Each feature counts in
    deviations of what ``wanted`` gives on crops of ``seed``; those of training are of the next seed.
    """
    if run.step >= spec.steps:
        return
    shown = varied_pictures(pixels, varied_crops(data, seed), min(spec.pictures, _PICTURES_FOR_SPREAD), spec.crop_size)
    with torch.no_grad():
        spread = torch.cat([read(wanted, batch)[0] for batch in shown]).std(0).clamp(min=1e-3)
    crops = varied_crops(data, seed + 1)
    for step in range(run.step, spec.steps):
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * 0.5 * (1 + math.cos(math.pi * step / spec.steps))
        batch = pixels(crops.batch(step, spec.batch, spec.crop_size))
        with torch.no_grad():
            features, logits = read(wanted, batch)
        found_features, found_logits = read(network, batch)
        loss = F.smooth_l1_loss(found_logits, logits, beta=0.1)
        loss = loss + feature_weight * ((found_features - features) / spread).square().mean()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        progress(step + 1, spec.steps, float(loss.detach()))
        if checkpoint is not None and ((step + 1) % CHECKPOINT_EVERY == 0 or step + 1 == spec.steps):
            save_checkpoint(checkpoint, network, optimizer, replace(run, step=step + 1))


def varied_crops(data: SyntheticSet, seed: int) -> VariedCrops:
    """Return the crops of a set's pictures that follow from ``seed``."""
    return VariedCrops(data, learnt_from(data, TeacherSpec()), seed)


def varied_pictures(pixels: Normalisation, crops: VariedCrops, count: int, size: int) -> list[Tensor]:
    """Return at least ``count`` crops of ``size`` pixels, normalised, in batches ``(PORTION, 3, size, size)``."""
    return [pixels(crops.batch(portion, PORTION, size)) for portion in range(math.ceil(count / PORTION))]
