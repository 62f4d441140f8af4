"""``edge-iqa slim``: a smaller bundle, with the models of some runtimes only."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def command(
    output: Annotated[Path, typer.Option("-o", "--output", help="The .eiqa bundle to write.")],
    bundle: Annotated[Path | None, typer.Argument(help="A .eiqa bundle; the embedded one if none.")] = None,
    keep: Annotated[
        str, typer.Option(help="Runtimes and precisions to keep, separated by commas, such as tflite:int8.")
    ] = "onnxruntime:int8",
) -> None:
    from edge_iqa.bundle import default_bundle_path, read_bundle
    from edge_iqa.slim import parse_kept, slim

    whole = read_bundle(default_bundle_path() if bundle is None else bundle)
    slim(whole, parse_kept(keep), output)
    print(f"{output} ({output.stat().st_size / 1e6:.1f} MB of {whole.size_bytes / 1e6:.1f} MB)")
