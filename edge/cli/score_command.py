"""``edge-iqa score``: a row per picture, as a table, CSV or JSON lines; a bad file is a row with an error."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, TextIO

import typer

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".ppm", ".pgm", ".pnm")


def command(
    paths: Annotated[list[str], typer.Argument(help="Pictures or folders; '-' reads a list of paths from stdin.")],
    bundle: Annotated[Path | None, typer.Option(help="A .eiqa bundle; the embedded one by default.")] = None,
    backend: Annotated[str, typer.Option(help="auto, onnxruntime, openvino, tflite or tensorrt.")] = "auto",
    precision: Annotated[str, typer.Option(help="int8 or fp32.")] = "int8",
    threads: Annotated[int | None, typer.Option(help="Threads of the runtime; its own default if not given.")] = None,
    format: Annotated[str, typer.Option(help="table, csv or jsonl.")] = "table",
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Write here instead of stdout.")] = None,
) -> None:
    import edge_iqa
    from edge_iqa.cli.output import check_output, open_output
    from edge_iqa.cli.score_rows import ROW_WRITERS, ScoreRow
    from edge_iqa.errors import ImageError, InvalidInput
    from edge_iqa.progress import track

    if format not in ROW_WRITERS:
        raise InvalidInput(f"There is no format {format!r}", fix=f"one of: {', '.join(ROW_WRITERS)}")
    if output is not None:
        check_output(output)
    for stream in (sys.stdin, sys.stdout):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="surrogateescape")  # file names are bytes, in UTF-8 or not
    found = list(find_pictures(paths, sys.stdin))
    if not found:
        raise InvalidInput("No pictures were named", fix="name files or folders that hold pictures")
    failed = 0
    with (
        edge_iqa.load(bundle, backend, precision, threads) as scorer,
        nullcontext(sys.stdout) if output is None else open_output(output) as rows,
    ):
        write = ROW_WRITERS[format](rows)
        for path in track(found, "scoring"):
            try:
                row = ScoreRow.from_score(path, scorer(path))
            except ImageError as error:
                failed += 1
                row = ScoreRow(path, None, None, None, None, error)
            write.row(row)
        write.close()
    if failed:
        print(f"{failed} of {len(found)} pictures could not be scored", file=sys.stderr)
        raise typer.Exit(ImageError.exit_code)


def find_pictures(paths: list[str], stdin: TextIO) -> Iterator[str]:
    """Yield every picture ``paths`` mean: files as they are, folders walked in order, ``-`` from stdin."""
    for path in paths:
        if path == "-":
            yield from (line.rstrip("\r\n") for line in stdin if line.strip())
        elif os.path.isdir(path):  # unlike Path.is_dir, false for a name that is too long
            inside = (entry for entry in Path(path).rglob("*") if entry.suffix.lower() in PICTURE_SUFFIXES)
            yield from (str(entry) for entry in sorted(inside) if not entry.is_dir())
        else:
            yield path
