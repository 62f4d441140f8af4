"""From the float student to the int8 one: layers are rebuilt one by one, then trained together.

``rebuilt`` alone is post-training quantization (``edge_iqa.quantize.reconstruct``); training goes on from there. Its
target is the float student on the very same pixels, not the teacher: what is trained away is the rounding alone, and
the drift that a user sees is measured against the same reference. The logit is compared, and every feature that it is
read from: one number per picture says too little of where rounding went wrong. Pictures are cut and changed anew each
time (``VariedCrops``); rebuilt on fixed crops, HiRQA-S drifted more on other pictures.
Rates are in steps of the integers, so that layers of large and of small weights move alike.
"""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from edge_iqa.models.synthesis import SyntheticSet
from edge_iqa.models.teacher import TeacherSpec, learnt_from
from edge_iqa.models.training_checkpoint import RunState, go_on, save_checkpoint
from edge_iqa.quantize.batches import Normalisation
from edge_iqa.quantize.equalize import equalize
from edge_iqa.quantize.fake_quantization import QuantConv2d
from edge_iqa.quantize.head import read
from edge_iqa.quantize.pixel_grid import pixel_grid
from edge_iqa.quantize.prepare import fold_batch_norm, prepare
from edge_iqa.quantize.recipe import QatStage
from edge_iqa.quantize.reconstruct import reconstruct
from edge_iqa.quantize.reporting import Counted, Trained
from edge_iqa.quantize.varied_crops import VariedCrops

CHECKPOINT_EVERY = 50  # steps
PORTION = 8  # pictures
_PICTURES_FOR_SPREAD = 128
_PICTURES_FOR_REACH = 128


def rebuilt(
    student: nn.Module,
    pixels: Normalisation,
    data: SyntheticSet,
    spec: QatStage,
    seed: int,
    progress: Counted,
    *,
    signed: bool = False,
) -> fx.GraphModule:
    """Return the student with ranges and integer weights set layer by layer; ``student`` itself stays as it is.

    ``pixels`` is what it wants of pictures. With ``signed``, all activations are as TensorRT demands them.
    """
    crops = _crops(data, seed)
    prepared = _prepare(student, pixels, crops, spec, signed=signed)
    reconstruct(prepared, _pictures(pixels, crops, spec, spec.pictures), progress, solve=spec.rebuild)
    return prepared


def train_quantized(
    student: nn.Module,
    pixels: Normalisation,
    data: SyntheticSet,
    spec: QatStage,
    seed: int,
    progress: Trained,
    *,
    rebuilding: Counted = lambda *_: None,
    checkpoint: Path | None = None,
    made_from: str = "",
) -> fx.GraphModule:
    """Return the rebuilt student after training; ``student`` itself stays as it is.

    Goes on from ``checkpoint`` like ``distill``.
    """
    torch.manual_seed(seed)
    student.eval()
    crops = _crops(data, seed)
    prepared = _prepare(student, pixels, crops, spec)
    layers = [module for module in prepared.modules() if isinstance(module, QuantConv2d)]
    weights = [layer.weight for layer in layers]
    others = [parameter for parameter in prepared.parameters() if all(parameter is not weight for weight in weights)]
    groups: list[dict[str, Any]] = [{"params": [weight]} for weight in weights]
    optimizer = torch.optim.AdamW([*groups, {"params": others}], lr=0.0, weight_decay=0.0)
    run = go_on(checkpoint, prepared, optimizer, RunState(0, (), f"{made_from} {spec!r} {seed}", data.data_sha256, {}))
    if run.step == 0:
        reconstruct(prepared, _pictures(pixels, crops, spec, spec.pictures), rebuilding, solve=spec.rebuild)
    rates = [spec.step_rate * float(layer.weight_scale.mean()) for layer in layers] + [spec.learning_rate]
    with torch.no_grad():
        shown = _pictures(pixels, crops, spec, min(spec.pictures, _PICTURES_FOR_SPREAD))
        spread = torch.cat([read(student, batch)[0] for batch in shown]).std(0).clamp(min=1e-3)
    shown_in_training = _crops(data, seed + 1)
    for step in range(run.step, spec.steps):
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * 0.5 * (1 + math.cos(math.pi * step / spec.steps))
        pictures = pixels(shown_in_training.batch(step, spec.batch, spec.crop_size))
        with torch.no_grad():
            features, wanted = read(student, pictures)
        rounded, logits = read(prepared, pictures)
        loss = F.smooth_l1_loss(logits, wanted, beta=0.1)
        loss = loss + spec.feature_weight * ((rounded - features) / spread).square().mean()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        progress(step + 1, spec.steps, float(loss.detach()))
        if checkpoint is not None and ((step + 1) % CHECKPOINT_EVERY == 0 or step + 1 == spec.steps):
            save_checkpoint(checkpoint, prepared, optimizer, replace(run, step=step + 1))
    return prepared


def _prepare(
    student: nn.Module, pixels: Normalisation, crops: VariedCrops, spec: QatStage, *, signed: bool = False
) -> fx.GraphModule:
    network = fold_batch_norm(student)
    if spec.equalize:
        equalize(network, _pictures(pixels, crops, spec, min(spec.pictures, _PICTURES_FOR_REACH)))
    return prepare(
        network,
        weight_bits=spec.weight_bits,
        float_prefixes=spec.float_layers,
        pixels=pixel_grid(pixels.mean, pixels.std),
        signed=signed,
        spare_channels=spec.spare_channels,
    ).eval()


def _crops(data: SyntheticSet, seed: int) -> VariedCrops:
    return VariedCrops(data, learnt_from(data, TeacherSpec()), seed)


def _pictures(pixels: Normalisation, crops: VariedCrops, spec: QatStage, count: int) -> list[Tensor]:
    portions = range(math.ceil(count / PORTION))
    return [pixels(crops.batch(portion, PORTION, spec.crop_size)) for portion in portions]
