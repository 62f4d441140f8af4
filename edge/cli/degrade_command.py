"""``edge-iqa degrade``: damage a picture as the training does: one degradation, several, or a sheet of all."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from edge_iqa.models.degradations import Step


def command(
    picture: Annotated[Path | None, typer.Argument(help="The picture to damage.")] = None,
    sheet: Annotated[
        Path | None, typer.Option(help="Write a contact sheet here: a row per degradation, a column per level.")
    ] = None,
    kind: Annotated[str | None, typer.Option("--type", help="One degradation by name; see --list.")] = None,
    level: Annotated[int, typer.Option(help="Level of --type, from 1 (weakest) to 5.")] = 3,
    steps: Annotated[
        str | None, typer.Option(help="Several in this order, as name:level,name:level; each step has its own seed.")
    ] = None,
    draw: Annotated[
        bool, typer.Option("--draw", help="A random composition as in training, drawn with --seed and printed.")
    ] = False,
    group: Annotated[str | None, typer.Option(help="Only this group in --sheet, --draw and --list.")] = None,
    seed: Annotated[int, typer.Option(help="Where chance comes from: the same seed gives the same picture.")] = 0,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Write the damaged picture here.")] = None,
    show_list: Annotated[bool, typer.Option("--list", help="List every degradation with its levels.")] = False,
) -> None:
    from edge_iqa.cli.degrade_files import check_picture_output, read_float, write_picture
    from edge_iqa.errors import InvalidInput

    names = _names(group)
    if show_list:
        print("\n".join(_listing(names)))
        return
    if picture is None:
        raise InvalidInput("No picture is named", fix="name one, or use --list")
    wanted = sum((sheet is not None, kind is not None, steps is not None, draw))
    if wanted != 1:
        raise InvalidInput("There must be one thing to do", fix="name one of --sheet, --type, --steps and --draw")
    if (sheet is None) == (output is None):
        raise InvalidInput(
            "It must be clear where to write", fix="--sheet takes its file itself, all else goes to --output"
        )
    target = output if sheet is None else sheet
    assert target is not None
    check_picture_output(target)
    from edge_iqa.models.degradations import apply_steps, contact_sheet, draw_steps

    if sheet is not None:
        write_picture(sheet, contact_sheet(read_float(picture), names, seed))
        print(f"{sheet}: {len(names)} degradations")
        return
    if draw:
        import numpy as np

        chosen = list(draw_steps(np.random.default_rng(seed), groups=None if group is None else [group]))
    else:
        chosen = _parse(f"{kind}:{level}" if kind is not None else str(steps), seed)
    write_picture(target, apply_steps(read_float(picture), chosen))
    print(",".join(f"{step.name}:{step.level}" for step in chosen))


def _parse(text: str, seed: int) -> list[Step]:
    """Return the steps of ``name:level,name:level``, the first with ``seed``, the next with ``seed + 1`` …"""
    from edge_iqa.errors import InvalidInput
    from edge_iqa.models.degradations import Step, find_degradation

    parsed = []
    for position, part in enumerate(text.split(",")):
        name, _, number = part.strip().partition(":")
        if not number.isdigit():
            raise InvalidInput(f"There is no level in {part.strip()!r}", fix="write steps as haze:2,sensornoise:3")
        find_degradation(name).strength(int(number))
        parsed.append(Step(name, int(number), seed + position))
    return parsed


def _names(group: str | None) -> list[str]:
    from edge_iqa.errors import InvalidInput
    from edge_iqa.models.degradations import DEGRADATIONS, GROUPS

    if group is not None and group not in GROUPS:
        raise InvalidInput(f"There is no group {group!r}", fix=f"one of: {', '.join(GROUPS)}")
    return [name for name, item in DEGRADATIONS.items() if group in (None, item.group)]


def _listing(names: list[str]) -> list[str]:
    from edge_iqa.models.degradations import DEGRADATIONS

    width = max(map(len, names))
    lines = []
    for name in names:
        item = DEGRADATIONS[name]
        levels = " ".join(f"{value:g}" for value in item.levels)
        lines.append(f"{name:<{width}}  {item.group:<16}  {item.description}: {levels}")
    return lines
