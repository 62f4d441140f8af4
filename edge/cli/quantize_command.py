"""``edge-iqa quantize``: distill a teacher into an int8 student and write its bundle."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer


def command(
    output: Annotated[Path, typer.Option("-o", "--output", help="The .eiqa bundle to write.")] = Path("student.eiqa"),
    images: Annotated[
        Path | None, typer.Option(help="A folder of undistorted photographs; the embedded ones by default.")
    ] = None,
    teacher: Annotated[
        str | None,
        typer.Option(
            help="A .safetensors from 'train' or 'import', or module:function (uint8 RGB array → score); "
            "the embedded one by default."
        ),
    ] = None,
    student: Annotated[str | None, typer.Option(help="hirqa-s-lite or hirqa-s; that of the recipe by default.")] = None,
    weights: Annotated[
        Path | None,
        typer.Option(help="Float weights of hirqa-s to start from, a .safetensors from 'import' or 'train'."),
    ] = None,
    recipe: Annotated[str, typer.Option(help="quick, full, for hirqa-s also long, or a recipe file.")] = "quick",
    budget: Annotated[
        str, typer.Option(help="Bars for every runtime and TensorRT's graph, e.g. srcc>=0.99,max_abs<=0.05.")
    ] = "",
    work: Annotated[
        Path | None,
        typer.Option(help="Keep distorted photographs and the float student here, to go on from."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan and stop.")] = False,
) -> None:
    from edge_iqa.errors import BarMissed, InvalidInput
    from edge_iqa.lazy import need

    for package in (
        "torch",
        "onnx",
        "onnxscript",
        "safetensors",
        "scipy",
        "flatbuffers",
        "ai_edge_litert",
        "openvino",
    ):
        need(package, "train")
    from edge_iqa.assets import photographs_folder
    from edge_iqa.cli.stage_progress import StageProgress
    from edge_iqa.models.checkpoint import EMBEDDED_TEACHER
    from edge_iqa.models.synthesis import find_photographs
    from edge_iqa.quantize.budget import parse_budget
    from edge_iqa.quantize.recipe import read_recipe
    from edge_iqa.quantize.run import plan, quantize

    limits = parse_budget(budget)
    spec, text = read_recipe(recipe, student)
    folder = photographs_folder() if images is None else images
    if dry_run:
        print(json.dumps(plan(spec, len(find_photographs(folder)), weights), indent=1))
        return
    if not output.parent.is_dir():
        raise InvalidInput(f"There is no folder {output.parent} to write to")
    with StageProgress() as progress:
        result = quantize(
            folder,
            EMBEDDED_TEACHER if teacher is None else teacher,
            spec,
            text,
            output,
            weights=weights,
            budget=limits,
            work=work,
            report=progress.report,
        )
    print(f"{result.bundle} ({result.size_bytes / 1e6:.1f} MB)")
    print(f"drift from the float student over {len(result.drifts[0].scores)} pictures:")
    for drift in result.drifts:
        note = f"   ({drift.note})" if drift.note else ""
        print(
            f"  {drift.target:<18} SROCC {drift.value('srcc'):.4f}   mean {drift.value('mae'):.4f}   "
            f"max {drift.value('max_abs'):.4f}{note}"
        )
    for change in result.raised:
        print(f"  for the budget, {change}")
    if result.missed:
        raise BarMissed(
            f"{len(result.missed)} bars of the budget were missed",
            why="; ".join(result.missed),
            fix="train longer (--recipe full), on more photographs, or relax the budget",
        )
    if limits:
        print("every bar of the budget holds", file=sys.stderr)
