"""From the float student to the int8 one: layers are rebuilt one by one, then trained together.

``rebuilt`` alone is post-training quantization (``edge_iqa.quantize.reconstruct``); training goes on from there
(``edge_iqa.quantize.following``). Its target is the float student on the very same pixels, not the teacher: what is
trained away is the rounding alone, and the drift that a user sees is measured against the same reference.
Rates are in steps of the integers, so that layers of large and of small weights move alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, fx, nn

from edge_iqa.models.synthesis import SyntheticSet
from edge_iqa.models.training_checkpoint import RunState, go_on
from edge_iqa.quantize.batches import Normalisation
from edge_iqa.quantize.equalize import equalize
from edge_iqa.quantize.exact import make_exact
from edge_iqa.quantize.fake_quantization import QuantConv2d
from edge_iqa.quantize.following import follow, varied_crops, varied_pictures
from edge_iqa.quantize.pixel_grid import pixel_grid
from edge_iqa.quantize.prepare import fold_batch_norm, prepare
from edge_iqa.quantize.ranges import set_ranges
from edge_iqa.quantize.recipe import QatStage
from edge_iqa.quantize.reconstruct import reconstruct
from edge_iqa.quantize.reporting import Counted, Trained

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

    ``pixels`` is what it wants of pictures. With ``signed``, all activations are as TensorRT demands them; as no other
    runtime takes that graph, its steps need not be exact, and are finer for it.
    """
    shown = varied_pictures(pixels, varied_crops(data, seed), spec.pictures, spec.crop_size)
    prepared = _prepare(student, pixels, shown, spec, signed=signed)
    if spec.rebuild:
        reconstruct(prepared, shown, progress)
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
    shown = varied_pictures(pixels, varied_crops(data, seed), spec.pictures, spec.crop_size)
    prepared = _prepare(student, pixels, shown, spec)
    layers = [module for module in prepared.modules() if isinstance(module, QuantConv2d)]
    weights = [layer.weight for layer in layers]
    others = [parameter for parameter in prepared.parameters() if all(parameter is not weight for weight in weights)]
    groups: list[dict[str, Any]] = [{"params": [weight]} for weight in weights]
    optimizer = torch.optim.AdamW([*groups, {"params": others}], lr=0.0, weight_decay=0.0)
    run = go_on(checkpoint, prepared, optimizer, RunState(0, (), f"{made_from} {spec!r} {seed}", data.data_sha256, {}))
    if run.step == 0 and spec.rebuild:
        reconstruct(prepared, shown, rebuilding)
    rates = [spec.step_rate * float(layer.weight_scale.mean()) for layer in layers] + [spec.learning_rate]
    follow(
        prepared,
        student,
        pixels,
        data,
        spec,
        seed,
        optimizer,
        rates,
        run,
        progress,
        feature_weight=spec.feature_weight,
        checkpoint=checkpoint,
    )
    return prepared


def _prepare(
    student: nn.Module, pixels: Normalisation, shown: Sequence[Tensor], spec: QatStage, *, signed: bool = False
) -> fx.GraphModule:
    network = fold_batch_norm(student)
    if spec.equalize:
        equalize(network, shown[: max(1, _PICTURES_FOR_REACH // len(shown[0]))])
    prepared = prepare(
        network,
        weight_bits=spec.weight_bits,
        float_prefixes=spec.float_layers,
        pixels=pixel_grid(pixels.mean, pixels.std),
        signed=signed,
        spare_channels=spec.spare_channels,
    ).eval()
    set_ranges(prepared, shown)
    if spec.exact_steps and not signed:
        make_exact(prepared)
    return prepared
