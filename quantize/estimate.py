"""How long a run of ``edge-iqa quantize`` will take here: what its stages compute, times how fast this machine is.

The machine's speed is measured, as forward passes of ``hirqa-s-lite`` in float. What a stage costs for each pixel is
counted in such passes; these numbers are of whole runs that were timed on two cores of an AMD EPYC. They are ours, and
rough: another machine computes one stage faster and another slower.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch

from edge_iqa.models.student import LITE_STUDENT, RESNET_STUDENT, STUDENTS
from edge_iqa.models.synthesis import VERSIONS
from edge_iqa.quantize.distill import trained_in
from edge_iqa.quantize.recipe import IMAGENET, RANDOM, Recipe

EVALUATED = 240  # pictures that drift is measured on
_PROBE = (4, 3, 192, 192)
_PASSES = 7
_LEARNT_SHARE = 0.28  # of the distorted pictures, those whose order is learnt: the head is solved on them
_DISTORTING, _TEACHER = 0.15, 0.9
_EMBEDDED = 51e6  # pixels of the 130 embedded pictures
_BFLOAT16 = 0.57  # of a step in float32


@dataclass(frozen=True)
class _Costs:
    """What a student's stages cost for each pixel, in forward passes of ``hirqa-s-lite``."""

    solving: float
    step: float  # of distillation, in float32
    rebuilding_signed: float  # TensorRT's graph, first of all: the pictures are cut for it too
    rebuilding: float
    following: float  # a step with rounding or bounds, and what it follows
    measuring: float  # on every runtime, and TensorRT's graph node by node
    scoring: float  # of the embedded pictures, for each of their own pixels


_COSTS = {
    LITE_STUDENT: _Costs(0.8, 5.5, 30.0, 12.0, 6.0, 5.1, 2.8),
    RESNET_STUDENT: _Costs(1.8, 4.5, 34.0, 22.0, 7.0, 4.9, 10.0),
}


def estimated_seconds(recipe: Recipe, photographs: int, *, taught: bool) -> dict[str, int]:
    """Return about how many seconds each stage of a run takes on this machine, by the name that its progress has.

    ``taught`` tells whether a teacher is asked (``is_taught``); another than the embedded one takes its own time.
    Nothing is taken to be cached. Measuring the machine takes a second.
    """
    data, stage, bound, qat = recipe.data, recipe.float_stage, recipe.bound_stage, recipe.qat_stage
    costs = _COSTS[recipe.student]
    pictures = photographs * data.crops_per_photograph * VERSIONS * data.crop_size**2
    learnt = _LEARNT_SHARE * pictures
    steps = [stage.crops_at(step) for step in range(stage.steps)] * stage.rounds
    steps += [stage.crops_at(max(0, stage.steps - 1))] * (stage.all_steps - len(steps))
    seen = sum(batch * side**2 for batch, side in steps)
    halved = _BFLOAT16 if trained_in(stage) == "bfloat16" else 1.0
    shown = qat.pictures * qat.crop_size**2 * qat.rebuild
    counted = {
        "distorting": pictures * _DISTORTING,
        "asking the teacher": (pictures if stage.steps and not stage.staged_steps else learnt) * _TEACHER * taught,
        "distilling": seen * (costs.step * halved + (_TEACHER if stage.staged_steps else 0)),
        "solving the head": learnt * costs.solving * (taught and recipe.start in (IMAGENET, RANDOM)),
        "bounding": bound.steps * bound.batch * bound.crop_size**2 * costs.following,
        "rebuilding for TensorRT": shown * costs.rebuilding_signed,
        "rebuilding": shown * costs.rebuilding,
        "quantizing": qat.steps * qat.batch * qat.crop_size**2 * costs.following,
        "exporting and measuring": EVALUATED * recipe.height * recipe.width * costs.measuring,
        "scoring stages": _EMBEDDED * costs.scoring * recipe.stage_scores,
    }
    unit = _seconds_per_pixel()
    return {name: max(1, round(passes * unit)) for name, passes in counted.items() if passes}


@torch.no_grad()
def _seconds_per_pixel() -> float:
    network, picture = STUDENTS[LITE_STUDENT]().eval(), torch.rand(_PROBE)
    network(picture)
    times = []
    for _ in range(_PASSES):
        start = time.perf_counter()
        network(picture)
        times.append(time.perf_counter() - start)
    return min(times) / (_PROBE[0] * _PROBE[2] * _PROBE[3])
