"""``edge-iqa export``: a bundle's models as plain files, with a README, for use without edge-iqa."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer


def command(
    output: Annotated[Path, typer.Option("-o", "--output", help="The folder to write to.")],
    bundle: Annotated[Path | None, typer.Argument(help="A .eiqa bundle; the embedded one if none.")] = None,
    to: Annotated[str, typer.Option(help="Targets, separated by commas.")] = "onnx,openvino,tflite,tensorrt",
    force: Annotated[bool, typer.Option("--force", help="Write into a folder that is not empty.")] = False,
    check: Annotated[
        bool,
        typer.Option("--check", help="First check the int8 graph by TensorRT's rules; compile it if possible."),
    ] = False,
) -> None:
    from edge_iqa.bundle import default_bundle_path, read_bundle
    from edge_iqa.export.plain import export_plain, parse_targets

    targets = parse_targets(to)
    checked = read_bundle(default_bundle_path() if bundle is None else bundle)
    if check:
        from edge_iqa.export.tensorrt_report import check_bundle_graph

        print(check_bundle_graph(checked), file=sys.stderr)
    for path in export_plain(checked, targets, output, force=force):
        print(path)
