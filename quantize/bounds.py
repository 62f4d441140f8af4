"""Activations that end, in float too, where the integers will end.

A range that holds the largest values rounds the usual ones coarsely, and one that does not clips what the float network
lets through: both move the score, most of all on pictures of strong contrast and on dark, even ones. A network whose
activations are bounded has neither: as ReLU6 does, and PACT (Choi et al., arXiv 1805.06085), which learns its bounds
with the integers. Here they are set first, at some deviations of what each tensor holds on training pictures, and the
float student is trained to give with them what it gave without. Then the integers clip nothing that it does not clip.
Deviations are those of ``edge_iqa.quantize.reach``, whose training makes what lies beyond them rare. The order is ours.

Bounds go where rounding goes (``edge_iqa.quantize.prepare``): after each ReLU, in its place, and after each convolution
without one, on both sides.
"""

from __future__ import annotations

import copy
import math
from pathlib import Path

import torch
from torch import Tensor, fx, nn

from edge_iqa.models.synthesis import SyntheticSet
from edge_iqa.models.training_checkpoint import RunState, go_on
from edge_iqa.quantize.attention import soften
from edge_iqa.quantize.batches import Normalisation
from edge_iqa.quantize.fake_quantization import SIGNED_LEVELS, UNSIGNED_LEVELS
from edge_iqa.quantize.following import follow, varied_crops, varied_pictures
from edge_iqa.quantize.places import Place, added_places, module_at, rounded_places
from edge_iqa.quantize.prepare import call_after, replace_module
from edge_iqa.quantize.reach import deviation, mean_square
from edge_iqa.quantize.recipe import BoundStage
from edge_iqa.quantize.reporting import Trained
from edge_iqa.quantize.units import Wanted, multiples_of_one
from edge_iqa.quantize.watch import watch

_LEAST_BOUND = 1e-3


def bounded(
    student: fx.GraphModule,
    pixels: Normalisation,
    data: SyntheticSet,
    spec: BoundStage,
    seed: int,
    progress: Trained,
    *,
    checkpoint: Path | None = None,
    made_from: str = "",
) -> fx.GraphModule:
    """Return a float student with bounds, trained to give what ``student`` gives; ``student`` where none are asked for.

    ``student`` is traced and without batch norm, ``pixels`` what it wants of pictures. Goes on from ``checkpoint`` like
    ``train_quantized``.
    """
    if spec.deviations is None:
        return student
    shown = varied_pictures(pixels, varied_crops(data, seed), spec.pictures, spec.crop_size)
    network = put_bounds(student, shown, spec.deviations)
    if spec.attention_deviation is not None:
        soften(network, shown, spec.attention_deviation)
    parameters = [*network.parameters()]
    rates = [spec.learning_rate * float(one.detach().square().mean().sqrt()) for one in parameters]
    optimizer = torch.optim.AdamW([{"params": [one]} for one in parameters], lr=0.0, weight_decay=0.0)
    run = go_on(checkpoint, network, optimizer, RunState(0, (), f"{made_from} {spec!r} {seed}", data.data_sha256, {}))
    follow(network, student, pixels, data, spec, seed, optimizer, rates, run, progress, checkpoint=checkpoint)
    return network


@torch.no_grad()
def put_bounds(student: fx.GraphModule, pictures: list[Tensor], deviations: float) -> fx.GraphModule:
    """Return a copy of ``student`` whose rounded tensors end at that many ``deviations`` of theirs on ``pictures``.

    Those that meet in sums end near there, where steps are whole multiples of one (``edge_iqa.quantize.units``).
    ``pictures`` are normalised ``(N, 3, H, W)`` batches. Below zero a bound lies where int8's -128 does.
    """
    network = copy.deepcopy(student).eval()
    modules = dict(network.named_modules())
    places = rounded_places(network)
    squares = watch(network, [place.node for place in places], pictures, mean_square)
    bounds: dict[Place, float] = {}
    for group in added_places(network, places):
        wanted = []
        for place in group:
            found = deviation(torch.stack(squares[place.node]).mean(), after_relu=place.after_relu)
            limit = module_at(modules, place.node)
            most = limit.max_val if isinstance(limit, nn.Hardtanh) else math.inf
            bound = min(max(deviations * float(found), _LEAST_BOUND), most)
            wanted.append(Wanted(bound / _levels(place), place.summed))
        unit, multiples = multiples_of_one(wanted)
        bounds |= {place: _levels(place) * unit * many for place, many in zip(group, multiples, strict=True)}
    for number, (place, bound) in enumerate(bounds.items()):
        if place.after_relu:
            replace_module(network, str(place.node.target), nn.Hardtanh(0.0, bound))
        else:
            name = f"bound{number}"
            network.add_module(name, nn.Hardtanh(-bound * (SIGNED_LEVELS + 1) / SIGNED_LEVELS, bound))
            call_after(place.node, name)
    network.graph.lint()
    network.recompile()
    return network


def _levels(place: Place) -> int:
    return UNSIGNED_LEVELS if place.after_relu else SIGNED_LEVELS
