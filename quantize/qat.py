"""Quantization-aware training: the fake-quantized student learns to give the float student's scores.

The target is the float student on the very same pixels, not the teacher: what is trained away is the rounding alone,
and the drift that a user sees is measured against the same reference.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from edge_iqa.models.lite import HirqaSLite
from edge_iqa.models.synthesis import SyntheticSet
from edge_iqa.models.teacher import normalised
from edge_iqa.quantize.distill import Progress, batches
from edge_iqa.quantize.fake_quantization import ActivationFakeQuant, set_quantization
from edge_iqa.quantize.prepare import prepare
from edge_iqa.quantize.recipe import QatStage


def _logit(score: Tensor) -> Tensor:
    return torch.logit(score.squeeze(1), eps=1e-5)


def train_quantized(
    student: HirqaSLite, data: SyntheticSet, spec: QatStage, seed: int, progress: Progress
) -> fx.GraphModule:
    """Return the student with trained fake quantization; ``student`` itself stays as it is."""
    torch.manual_seed(seed)
    student.eval()
    pictures = _calibration_pictures(student, data, spec, seed)
    prepared = prepare(
        student, weight_bits=spec.weight_bits, batches=pictures, float_prefixes=float_prefixes(spec.float_blocks)
    )
    _calibrate(prepared, pictures)
    for module in prepared.modules():
        if isinstance(module, ActivationFakeQuant):
            module.momentum = 0.02
    optimizer = torch.optim.AdamW(prepared.parameters(), lr=spec.learning_rate, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(spec.steps, 1))
    generator = torch.Generator().manual_seed(seed + 1)
    for step, (drawn, _, _) in enumerate(batches(data, spec.batch, spec.crop_size, spec.steps, generator)):
        if step == int(spec.range_share * spec.steps):
            set_quantization(prepared, observing=False)
        pixels = normalised(drawn, student.mean, student.std)
        with torch.no_grad():
            wanted = _logit(student(pixels))
        loss = F.smooth_l1_loss(_logit(prepared(pixels)), wanted, beta=0.1)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(prepared.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        progress(step + 1, spec.steps, float(loss.detach()))
    set_quantization(prepared, observing=False)
    return prepared.eval()


def float_prefixes(float_blocks: int) -> tuple[str, ...]:
    """Return the name prefixes of the stem and the first ``float_blocks`` blocks; empty for 0."""
    return ("trunk.stem.", *(f"trunk.blocks.{block}." for block in range(float_blocks))) if float_blocks else ()


def _calibration_pictures(student: HirqaSLite, data: SyntheticSet, spec: QatStage, seed: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    drawn = batches(data, spec.batch, spec.crop_size, spec.calibration_batches, generator)
    return [normalised(pictures, student.mean, student.std) for pictures, _, _ in drawn]


@torch.no_grad()
def _calibrate(prepared: fx.GraphModule, pictures: list[Tensor]) -> None:
    """Set the first ranges from activations that are not rounded yet."""
    set_quantization(prepared, enabled=False)
    for batch in pictures:
        prepared(batch)
    set_quantization(prepared, enabled=True)
