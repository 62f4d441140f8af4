"""``edge-iqa train``: a teacher from photographs alone."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

METHODS = ("hirqa", "rankiqa", "grepq", "qualiclip", "sfd-iqa")
_TRUNK, _CLIP, _RANKING = ("hirqa", "rankiqa", "grepq"), ("grepq", "qualiclip", "sfd-iqa"), ("rankiqa",)
# option → the methods that it changes something for
_USED_BY = {
    "--backbone": _TRUNK,
    "--weights": _TRUNK,
    "--clip": _CLIP,
    "--scores": _RANKING,
    "--ranked": _RANKING,
    "--image-column": _RANKING,
    "--score-column": _RANKING,
}


def command(
    folder: Annotated[Path, typer.Argument(help="A folder of undistorted photographs.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The .safetensors teacher to write.")],
    method: Annotated[str, typer.Option(help=", ".join(METHODS) + ".")] = "hirqa",
    backbone: Annotated[
        str,
        typer.Option(help="efficientnet-lite0, resnet-18 or resnet-50: train it too. hirqa without it: a frozen one."),
    ] = "",
    weights: Annotated[Path | None, typer.Option(help="A file that a ResNet backbone starts from.")] = None,
    clip: Annotated[str, typer.Option(help="The image-text model, open_clip:MODEL:FILE-OR-TAG.")] = "",
    recipe: Annotated[str, typer.Option(help="A recipe file, or the name of a shipped one.")] = "",
    steps: Annotated[int, typer.Option(help="Steps of training, instead of the recipe's; hirqa: end to end.")] = 0,
    crops: Annotated[int, typer.Option(help="Crops per photograph, instead of the recipe's.")] = 0,
    seed: Annotated[int | None, typer.Option(help="Seed of distortions and training, instead of the recipe's.")] = None,
    work: Annotated[Path | None, typer.Option(help="Keep distorted photographs, checkpoint and log here.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the checkpoint in --work.")] = False,
    scores: Annotated[
        Path | None,
        typer.Option(help="rankiqa only, its second step: a CSV of human scores; FOLDER holds the pictures."),
    ] = None,
    ranked: Annotated[Path | None, typer.Option(help="With --scores: the teacher of the first step.")] = None,
    image_column: Annotated[str, typer.Option(help="Column of file names in --scores (file).")] = "",
    score_column: Annotated[str, typer.Option(help="Column of scores in --scores, higher is better (mos).")] = "",
) -> None:
    from edge_iqa.cli.output import check_output
    from edge_iqa.errors import InvalidInput
    from edge_iqa.lazy import need

    if method not in METHODS:
        raise InvalidInput(f"There is no method {method!r}", fix=f"one of: {', '.join(METHODS)}")
    for option, value in (("--steps", steps), ("--crops", crops), ("--seed", seed)):
        if value is not None and value < 0:
            raise InvalidInput(f"{option} must not be negative", why=f"got {value}")
    frozen = method == "hirqa" and not (backbone or recipe or steps or resume)
    given = {
        "--backbone": backbone,
        "--weights": weights,
        "--clip": clip,
        "--scores": scores,
        "--ranked": ranked,
        "--image-column": image_column,
        "--score-column": score_column,
    }
    _refuse_unused(method, frozen, [option for option, value in given.items() if value], crops)
    check_output(output)
    for package in ("torch", "safetensors", "scipy"):
        need(package, "train")
    if frozen:
        _train_frozen(folder, output, max(crops, 1), seed or 0, work)
        return
    for package in ("lightning_fabric", "tomli_w"):
        need(package, "train")
    plan = _recipe(method, recipe, backbone, weights, clip, steps, crops, seed)
    place = output.with_name(f"{output.stem}.work") if work is None else work
    if scores is not None and ranked is not None:
        columns = (image_column or "file", score_column or "mos")
        _fine_tune(folder, scores, columns, ranked, output, plan, place, resume)
        return
    _train(folder, output, plan, place, resume)


def _refuse_unused(method: str, frozen: bool, given: list[str], crops: int) -> None:
    """Raise InvalidInput for an option that would change nothing."""
    from edge_iqa.errors import InvalidInput

    for option in given:
        if method not in _USED_BY[option]:
            raise InvalidInput(
                f"--method {method} takes no {option}", fix=f"it belongs to: {', '.join(_USED_BY[option])}"
            )
    if frozen and "--weights" in given:
        raise InvalidInput(
            "--weights needs a backbone that learns",
            why="--method hirqa alone trains a layer on a frozen EfficientNet-Lite0",
            fix="add --backbone resnet-18 or resnet-50",
        )
    second_step = {"--scores", "--ranked"} & set(given)
    if len(second_step) == 1:
        raise InvalidInput("--scores and --ranked go together", why=f"only {second_step.pop()} was given")
    if not second_step and {"--image-column", "--score-column"} & set(given):
        raise InvalidInput("--image-column and --score-column name columns of --scores", why="there is no --scores")
    if second_step and (crops or {"--backbone", "--weights"} & set(given)):
        raise InvalidInput(
            "--backbone, --weights and --crops do not go with --scores",
            why="the second step goes on with the network of --ranked, on the pictures as they are",
        )


def _train_frozen(folder: Path, output: Path, crops: int, seed: int, work: Path | None) -> None:
    from edge_iqa.cli.stage_progress import StageProgress
    from edge_iqa.models.synthesis import SynthesisSpec
    from edge_iqa.models.teacher import TeacherSpec
    from edge_iqa.models.train import train_teacher

    synthesis = SynthesisSpec(crops_per_photograph=crops, seed=seed)
    with StageProgress() as progress:
        losses = train_teacher(folder, output, synthesis, TeacherSpec(seed=seed), work=work, report=progress.report)
    print(f"loss {losses[0]:.4f} → {losses[-1]:.4f}", file=sys.stderr)
    print(output)


def _recipe(
    method: str, recipe: str, backbone: str, weights: Path | None, clip: str, steps: int, crops: int, seed: int | None
) -> Any:
    """Return the recipe with the options of the command line put in."""
    from dataclasses import replace

    from edge_iqa.errors import InvalidInput
    from edge_iqa.models.training_recipe import check_recipe, read_training_recipe

    plan = read_training_recipe(recipe or ("hirqa-end-to-end" if method == "hirqa" else method))
    if plan.method != method:
        raise InvalidInput(f"The recipe is for {plan.method}, not for {method}", fix=f"say --method {plan.method}")
    plan = replace(
        plan,
        backbone=backbone or plan.backbone,
        weights=plan.weights if weights is None else str(weights),
        clip=clip or plan.clip,
        seed=plan.seed if seed is None else seed,
        training=replace(plan.training, steps=steps or plan.training.steps),
        data=replace(plan.data, crops_per_photograph=crops or plan.data.crops_per_photograph),
    )
    check_recipe(plan)
    return plan


def _train(folder: Path, output: Path, plan: Any, work: Path, resume: bool) -> None:
    from edge_iqa.cli.stage_progress import StageProgress
    from edge_iqa.models.train_method import train_method

    with StageProgress() as progress:
        result = train_method(folder, output, plan, work, resume=resume, report=progress.report)
    accuracy = f"held-out pairs ranked right: {result.start_accuracy:.3f} → {result.accuracy:.3f}"
    speed = f"{result.pictures_per_s:.1f} pictures/s, {100 * result.wait_share:.0f} % of it waiting for pictures"
    print(f"{accuracy}\n{speed}", file=sys.stderr)
    if result.degradation_share is not None:
        print(f"degradations took {100 * result.degradation_share:.0f} % of the work", file=sys.stderr)
    print(output)


def _fine_tune(
    folder: Path,
    scores: Path,
    columns: tuple[str, str],
    ranked: Path,
    output: Path,
    plan: Any,
    work: Path,
    resume: bool,
) -> None:
    from edge_iqa.benchmarks.opinion_tables import read_opinions
    from edge_iqa.cli.stage_progress import StageProgress
    from edge_iqa.errors import DatasetError
    from edge_iqa.models.train_method import fine_tune_rankiqa

    rows = [(folder / row.file, row.opinion) for row in read_opinions(scores, *columns)]
    missing = [str(path) for path, _ in rows if not path.is_file()]
    if missing:
        raise DatasetError(
            f"{len(missing)} pictures of {scores} are not there", why=f"the first is {missing[0]}", fix="check FOLDER"
        )
    with StageProgress() as progress:
        fine_tune_rankiqa(ranked, rows, output, plan, work, resume=resume, report=progress.report)
    print(f"fine-tuned on {len(rows)} human scores: this teacher is no longer opinion-free", file=sys.stderr)
    print(output)
