"""What each term of distillation is worth: one student, a short training, one term left out at a time.

    python -m edge_iqa.benchmarks.distillation_ablation WORK [--student hirqa-s --recipe full] [--steps 150] > table.md

WORK is the folder that ``quantize --student hirqa-s --recipe full --work WORK`` kept: its pictures and the teacher's
answers and maps are used. ``hirqa-s-lite`` starts from ImageNet's features and a solved head, ``hirqa-s`` from random
weights, and the head is solved again after training, as in ``quantize``. The last tenth of the crops is held out; SROCC
and mean difference of the logit are those between student and teacher on it.
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edge_iqa.benchmarks.stats_correlation import srocc
from edge_iqa.models.checkpoint import EMBEDDED_TEACHER
from edge_iqa.models.memory import keep_freed_memory
from edge_iqa.models.student import LITE_STUDENT, STUDENTS, StudentNetwork
from edge_iqa.models.synthesis import SyntheticSet, load_set
from edge_iqa.models.teacher import TeacherSpec, learnt_from
from edge_iqa.progress import track
from edge_iqa.quantize.distill import TeacherTargets, distill
from edge_iqa.quantize.head import embeddings, from_imagenet, solve_head, spread
from edge_iqa.quantize.recipe import FloatStage, read_recipe
from edge_iqa.quantize.teacher_pass import collect_targets
from edge_iqa.quantize.teacher_source import open_teacher


@dataclass(frozen=True)
class Material:
    """Training pictures, those of them that the head is solved on ``(C, V)``, and the flat numbers of those held out.

    ``whole`` is the set with the held out ones; ``targets`` belong to it.
    """

    training: SyntheticSet
    solved_on: NDArray[np.bool_]
    whole: SyntheticSet
    held_out: NDArray[np.int64]
    targets: TeacherTargets


def material(data: SyntheticSet, targets: TeacherTargets, solved: int, held_out: int) -> Material:
    """Split a set: its last tenth of crops is held out, of which ``held_out`` pictures are compared at most."""
    kept = len(data.pictures) - max(1, len(data.pictures) // 10)
    training = replace(
        data,
        pictures=data.pictures[:kept],
        series=data.series[:kept],
        levels=data.levels[:kept],
        steps=data.steps[:kept],
        metrics={},
        photographs=data.photographs[:kept],
    )
    learnt = learnt_from(data, TeacherSpec())
    solved_on = np.zeros_like(learnt[:kept])
    solved_on.flat[spread(learnt[:kept], solved)] = True
    learnt[:kept] = False
    return Material(training, solved_on, data, spread(learnt, held_out), targets)


def variants(stage: FloatStage) -> Iterator[tuple[str, FloatStage | None]]:
    """Yield names and stages of training; None is no training, the second is all terms."""
    yield "head solved, no training", None
    yield "all four terms", stage
    yield "without the teacher's score", replace(stage, score_weight=0.0)
    yield "without the order within a batch", replace(stage, ranking_weight=0.0)
    yield "without the teacher's features", replace(stage, feature_weight=0.0)
    yield "without the teacher's maps", replace(stage, map_weight=0.0)
    yield "the teacher's score alone", replace(stage, ranking_weight=0.0, feature_weight=0.0, map_weight=0.0)


@torch.no_grad()
def agreement(student: StudentNetwork, known: Material) -> tuple[float, float]:
    """Return SROCC and mean absolute difference of the logit between student and teacher on what was held out."""
    seen = embeddings(student, known.whole, known.held_out, lambda *_: None)
    found: Tensor = student.fc[0](seen).squeeze(1)
    wanted = known.targets.logits.flatten()[torch.from_numpy(known.held_out)]
    return srocc(found.numpy(), wanted.numpy()), float((found - wanted).abs().mean())


def main() -> None:
    parser = argparse.ArgumentParser(description="Print the ablation of distillation as Markdown.")
    parser.add_argument("work", type=Path)
    parser.add_argument("--student", choices=sorted(STUDENTS), default=LITE_STUDENT)
    parser.add_argument("--recipe", default="quick", help="whose float stage is taken, with --steps of its first crops")
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--solved", type=int, default=1500, help="pictures that the head is solved on")
    parser.add_argument("--held-out", type=int, default=400, help="pictures that are compared")
    options = parser.parse_args()
    keep_freed_memory()
    recipe, _ = read_recipe(options.recipe, options.student)
    data = load_set(options.work / "photographs")
    teacher = open_teacher(EMBEDDED_TEACHER)
    key = f"{teacher.sha256} {data.spec!r} {data.data_sha256}"
    targets = collect_targets(teacher, data, options.work / "teacher", key)
    known = material(data, targets, options.solved, options.held_out)
    torch.manual_seed(recipe.seed)
    if options.student == LITE_STUDENT:
        start: StudentNetwork = from_imagenet(known.training, targets.logits, known.solved_on, lambda *_: None)
    else:
        start = STUDENTS[options.student]().eval()
    short = replace(recipe.float_stage, steps=options.steps, last_steps=0, settle_steps=0)
    print("| training | SROCC with the teacher | mean difference of the logit |")
    print("| --- | --- | --- |")
    for name, stage in track(list(variants(short)), "ways"):
        student = copy.deepcopy(start)
        if stage is not None:
            pretrained = options.student == LITE_STUDENT
            distill(student, known.training, targets, stage, recipe.seed, lambda *_: None, pretrained=pretrained)
        solve_head(student, known.training, targets.logits, known.solved_on, lambda *_: None)
        order, difference = agreement(student, known)
        print(f"| {name} | {order:.4f} | {difference:.3f} |", flush=True)


if __name__ == "__main__":
    main()
