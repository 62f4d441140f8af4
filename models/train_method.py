"""``edge-iqa train`` for every method that trains a network: photographs in, teacher out, with held-out looks.

The photographs are split by file; those held out are never trained on, and the share of their pairs that the teacher
ranks right is looked at from the first step on.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

import edge_iqa
from edge_iqa.errors import InvalidInput
from edge_iqa.models.checkpoint import Teacher, load_network, save_network
from edge_iqa.models.memory import keep_freed_memory
from edge_iqa.models.methods.base import score_set
from edge_iqa.models.methods.rankiqa import RankiqaFineTuning, ScoredPictures
from edge_iqa.models.methods.registry import make_method
from edge_iqa.models.objectives.rankiqa import same_type_pairs
from edge_iqa.models.synthesis import find_photographs, hash_files
from edge_iqa.models.training_batches import ContentBatches
from edge_iqa.models.training_data import TrainingSet, make_training_set, split_photographs
from edge_iqa.models.training_fabric import make_fabric
from edge_iqa.models.training_loop import LoopResult, Report, run_loop
from edge_iqa.models.training_recipe import TrainingRecipe, recipe_toml
from edge_iqa.models.trunk_teachers import Ranker

_CROPS_PER_WORKER = 32
_SCALE_CROPS = 64  # whose logits fix the scale in the end


@dataclass(frozen=True)
class TrainingResult:
    """Held-out accuracy before the first step and after the last, and the speed of this process.

    ``degradation_share`` is the part of all work (making the pictures and training on them, summed over processes) that
    went into degradations; None where the pictures were read back and not made.
    """

    start_accuracy: float | None
    accuracy: float | None
    pictures_per_s: float
    wait_share: float
    degradation_share: float | None


def train_method(
    photographs_folder: Path, output: Path, recipe: TrainingRecipe, work: Path, *, resume: bool = False, report: Report
) -> TrainingResult:
    """Train the method of ``recipe`` on the photographs below a folder and write its teacher to ``output``.

    ``work`` keeps the distorted photographs, the checkpoint and the log. Raises InvalidInput for settings that do not
    fit, WeightsMissing and MissingDependency where the method's weights cannot be had, ResumeRefused where the
    checkpoint is of another run.
    """
    keep_freed_memory()
    torch.manual_seed(recipe.seed)
    method = make_method(recipe)
    photographs = find_photographs(photographs_folder)
    trained, held_out = split_photographs(photographs, recipe.held_out.share, recipe.seed)
    work.mkdir(parents=True, exist_ok=True)
    fabric = make_fabric(recipe.training.precision)
    with fabric.rank_zero_first():  # the first process makes the pictures, the others read them back
        data = _make_set(trained, recipe, work, "distorting", report)
        look_at = _make_set(held_out, _held_out_recipe(recipe), work, "distorting held out", report)
    method.prepare(data)
    loop = recipe.training
    batches = ContentBatches(
        data,
        steps=loop.steps,
        contents=loop.contents,
        window=loop.window,
        seed=recipe.seed,
        extra=method.batch_extra(data),
        process=fabric.global_rank,
        processes=fabric.world_size,
    )

    def look() -> float:
        method.settle(data)
        return ranking_accuracy(method.network, look_at)

    text = recipe_toml(recipe)
    result = run_loop(
        method,
        batches,
        loop,
        fabric,
        work,
        recipe=text,
        photographs_sha256=hash_files(photographs),
        look=look,
        resume=resume,
        report=report,
    )
    method.settle(data)
    rows = range(0, len(data.steps), max(1, len(data.steps) // _SCALE_CROPS))
    method.fix_scale(score_set(method.network, data, rows).flatten())
    notes = {
        "method": recipe.method,
        "recipe": text,
        "started_from": method.start,
        "photographs": len(photographs),
        "photographs_sha256": hash_files(photographs),
        "held_out": [path.name for path in held_out],
        "looks": [asdict(one) for one in result.looks],
        "versions": {"edge-iqa": edge_iqa.__version__, "torch": torch.__version__},
    }
    if fabric.is_global_zero:
        save_network(method.network.cpu(), method.network_name, output, notes)
    fabric.barrier()
    return _summary(result, data)


def _make_set(
    photographs: Sequence[Path], recipe: TrainingRecipe, work: Path, stage: str, report: Report
) -> TrainingSet:
    return make_training_set(
        photographs,
        recipe.data,
        recipe.seed,
        work / "pictures",
        workers=_workers(len(photographs) * recipe.data.crops_per_photograph),
        progress=lambda done, total: report(stage, done, total, None),
    )


def _workers(crops: int) -> int:
    """Return how many processes are worth starting: each takes seconds to come up."""
    return max(1, min(os.cpu_count() or 1, crops // _CROPS_PER_WORKER))


def _held_out_recipe(recipe: TrainingRecipe) -> TrainingRecipe:
    held_out = recipe.held_out
    data = replace(
        recipe.data,
        chains=held_out.chains,
        levels=held_out.levels,
        groups=held_out.groups or recipe.data.groups,
        steps_per_chain=1,
        compositions=0,
        metrics=(),
        similarity="",
    )
    return replace(recipe, data=data)


def ranking_accuracy(network: Teacher, data: TrainingSet) -> float:
    """Return the share of pairs (same crop, same degradation, different level) that ``network`` ranks right.

    A tie counts as wrong.
    """
    scores = score_set(network, data)
    right = pairs = 0
    for row, logits in enumerate(scores):
        better = same_type_pairs(
            torch.zeros(len(logits), dtype=torch.int64),
            torch.from_numpy(data.chains[row]),
            torch.from_numpy(data.levels[row]),
        )
        right += int(((logits[:, None] > logits[None, :]) & better).sum())
        pairs += int(better.sum())
    return right / pairs


def _summary(result: LoopResult, data: TrainingSet) -> TrainingResult:
    clock, looks = result.clock, result.looks
    work = sum(value for part, value in data.seconds.items() if part != "wall") + clock.seconds
    return TrainingResult(
        start_accuracy=looks[0].accuracy if looks else None,
        accuracy=looks[-1].accuracy if looks else None,
        pictures_per_s=clock.pictures / max(clock.seconds, 1e-9),
        wait_share=clock.waited / max(clock.seconds, 1e-9),
        degradation_share=data.seconds["degrade"] / work if data.seconds else None,
    )


def fine_tune_rankiqa(
    teacher: Path,
    scored: Sequence[tuple[Path, float]],
    output: Path,
    recipe: TrainingRecipe,
    work: Path,
    *,
    resume: bool = False,
    report: Report,
) -> None:
    """RankIQA's second step: go on from a ranked teacher with human scores (path, score; higher is better).

    This uses opinions, and the file it writes says so. Raises InvalidInput where ``teacher`` is not RankIQA's or there
    are fewer than two scores.
    """
    network, _, notes = load_network(teacher)
    if not isinstance(network, Ranker):
        raise InvalidInput(f"{teacher.name} is not a teacher of the method rankiqa")
    if len(scored) < 2:
        raise InvalidInput("At least two human scores are needed")
    work.mkdir(parents=True, exist_ok=True)
    fabric = make_fabric(recipe.training.precision)
    method = RankiqaFineTuning(network)
    loop = recipe.training
    source = ScoredPictures(scored, steps=loop.steps, pictures=loop.contents, window=loop.window, seed=recipe.seed)
    data_sha256 = hash_files([path for path, _ in scored])
    text = recipe_toml(recipe)
    run_loop(
        method,
        source,
        loop,
        fabric,
        work,
        recipe=text,
        photographs_sha256=data_sha256,
        look=None,
        resume=resume,
        report=report,
    )
    used: dict[str, Any] = {"pictures": len(scored), "sha256": data_sha256, "recipe": text}
    if fabric.is_global_zero:
        save_network(method.network.cpu(), "ranker", output, {**notes, "fine_tuned_on_human_scores": used})
    fabric.barrier()
