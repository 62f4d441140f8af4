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
    prepared = prepare(student, weight_bits=spec.weight_bits)
    _calibrate(prepared, student, data, spec, seed)
    for module in prepared.modules():
        if isinstance(module, ActivationFakeQuant):
            module.momentum = 0.02
    optimizer = torch.optim.AdamW(prepared.parameters(), lr=spec.learning_rate, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(spec.steps, 1))
    generator = torch.Generator().manual_seed(seed + 1)
    for step, (pictures, _, _) in enumerate(batches(data, spec.batch, spec.crop_size, spec.steps, generator)):
        if step == int(spec.range_share * spec.steps):
            set_quantization(prepared, observing=False)
        pixels = normalised(pictures, student.mean, student.std)
        with torch.no_grad():
            wanted = _logit(student(pixels))
        loss = F.smooth_l1_loss(_logit(prepared(pixels)), wanted, beta=0.1)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(prepared.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        progress(step + 1, spec.steps, float(loss.detach()))
    set_quantization(prepared, observing=False)
    return prepared.eval()


@torch.no_grad()
def _calibrate(prepared: fx.GraphModule, student: HirqaSLite, data: SyntheticSet, spec: QatStage, seed: int) -> None:
    """Set the first ranges from pictures that are not rounded yet."""
    set_quantization(prepared, enabled=False)
    generator = torch.Generator().manual_seed(seed)
    for pictures, _, _ in batches(data, spec.batch, spec.crop_size, spec.calibration_batches, generator):
        prepared(normalised(pictures, student.mean, student.std))
    set_quantization(prepared, enabled=True)
