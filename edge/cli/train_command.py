"""``edge-iqa train``: a teacher from photographs alone."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer


def command(
    folder: Annotated[Path, typer.Argument(help="A folder of undistorted photographs.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The .safetensors teacher to write.")],
    method: Annotated[str, typer.Option(help="hirqa.")] = "hirqa",
    crops: Annotated[int, typer.Option(help="Crops per photograph.")] = 1,
    seed: Annotated[int, typer.Option(help="Seed of distortions and training.")] = 0,
    work: Annotated[Path | None, typer.Option(help="Keep the distorted photographs here.")] = None,
) -> None:
    from edge_iqa.errors import InvalidInput
    from edge_iqa.lazy import need

    for package in ("torch", "safetensors", "scipy"):
        need(package, "train")
    from edge_iqa.cli.stage_progress import StageProgress
    from edge_iqa.models.synthesis import SynthesisSpec
    from edge_iqa.models.teacher import TeacherSpec
    from edge_iqa.models.train import train_teacher

    if method != "hirqa":
        raise InvalidInput(f"The method {method!r} is not in this version", fix="use --method hirqa")
    if crops < 1:
        raise InvalidInput("--crops must be at least 1", why=f"got {crops}")
    synthesis = SynthesisSpec(crops_per_photograph=crops, seed=seed)
    with StageProgress() as progress:
        losses = train_teacher(folder, output, synthesis, TeacherSpec(seed=seed), work=work, report=progress.report)
    print(f"loss {losses[0]:.4f} → {losses[-1]:.4f}", file=sys.stderr)
    print(output)
