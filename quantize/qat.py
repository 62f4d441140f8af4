"""Quantization-aware training: the fake-quantized student learns to give the float student's scores.

The target is the float student on the very same pixels, not the teacher: what is trained away is the rounding alone,
and the drift that a user sees is measured against the same reference. The logit is compared, and every feature that it
is read from: one number per picture says too little of where rounding went wrong. In the end the head is mended.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from edge_iqa.errors import ResumeRefused
from edge_iqa.models.lite import HirqaSLite
from edge_iqa.models.synthesis import SyntheticSet
from edge_iqa.models.teacher import normalised
from edge_iqa.models.training_checkpoint import RunState, load_checkpoint, save_checkpoint
from edge_iqa.quantize.batches import batches
from edge_iqa.quantize.distill import Progress
from edge_iqa.quantize.fake_quantization import ActivationFakeQuant, set_quantization
from edge_iqa.quantize.head import mend_head, read
from edge_iqa.quantize.prepare import pixel_step, prepare
from edge_iqa.quantize.recipe import QatStage

CHECKPOINT_EVERY = 50  # steps


def train_quantized(
    student: nn.Module,
    data: SyntheticSet,
    spec: QatStage,
    seed: int,
    progress: Progress,
    *,
    mending: Callable[[int, int], None] = lambda done, total: None,
    checkpoint: Path | None = None,
    made_from: str = "",
) -> fx.GraphModule:
    """Return the student with trained fake quantization; ``student`` itself stays as it is.

    Goes on from ``checkpoint`` like ``distill``.
    """
    torch.manual_seed(seed)
    student.eval()
    pictures = _calibration_pictures(data, spec, seed)
    prepared = prepare(
        student,
        weight_bits=spec.weight_bits,
        float_prefixes=spec.float_layers,
        input_step=pixel_step(HirqaSLite.mean, HirqaSLite.std),
    )
    _calibrate(prepared, pictures)
    for module in prepared.modules():
        if isinstance(module, ActivationFakeQuant):
            module.momentum = 0.02
    with torch.no_grad():
        spread = torch.cat([read(student, batch)[0] for batch in pictures]).std(0).clamp(min=1e-3)
    optimizer = torch.optim.AdamW(prepared.parameters(), lr=spec.learning_rate, weight_decay=0.0)
    run = RunState(0, (), f"{made_from} {spec!r} {seed}", data.data_sha256, {})
    if checkpoint is not None and checkpoint.exists():
        with contextlib.suppress(ResumeRefused):  # of another run: begin anew and replace it
            run = load_checkpoint(checkpoint, prepared, optimizer, run)
    drawn = batches(data, spec.batch, spec.crop_size, spec.steps, seed + 1, first_step=run.step)
    for step, batch in enumerate(drawn, run.step):
        set_quantization(prepared, observing=step < int(spec.range_share * spec.steps))
        for group in optimizer.param_groups:
            group["lr"] = spec.learning_rate * 0.5 * (1 + math.cos(math.pi * step / spec.steps))
        pixels = normalised(batch.pixels, HirqaSLite.mean, HirqaSLite.std)
        with torch.no_grad():
            features, wanted = read(student, pixels)
        rounded, logits = read(prepared, pixels)
        loss = F.smooth_l1_loss(logits, wanted, beta=0.1)
        loss = loss + spec.feature_weight * ((rounded - features) / spread).square().mean()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(prepared.parameters(), 1.0)
        optimizer.step()
        progress(step + 1, spec.steps, float(loss.detach()))
        if checkpoint is not None and ((step + 1) % CHECKPOINT_EVERY == 0 or step + 1 == spec.steps):
            save_checkpoint(checkpoint, prepared, optimizer, replace(run, step=step + 1))
    set_quantization(prepared, observing=False)
    prepared.eval()
    mend_head(prepared, student, data, mending, spec.mending_pictures)
    return prepared


def _calibration_pictures(data: SyntheticSet, spec: QatStage, seed: int) -> list[Tensor]:
    drawn = batches(data, spec.batch, spec.crop_size, spec.calibration_batches, seed)
    return [normalised(batch.pixels, HirqaSLite.mean, HirqaSLite.std) for batch in drawn]


@torch.no_grad()
def _calibrate(prepared: fx.GraphModule, pictures: list[Tensor]) -> None:
    """Set the first ranges from activations that are not rounded yet."""
    set_quantization(prepared, enabled=False)
    for batch in pictures:
        prepared(batch)
    set_quantization(prepared, enabled=True)
