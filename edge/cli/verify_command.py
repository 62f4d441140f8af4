"""``edge-iqa verify``: golden tensors and scores of a bundle on every runtime of this machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer


def command(
    bundle: Annotated[Path | None, typer.Argument(help="A .eiqa bundle; the embedded one if none.")] = None,
    backend: Annotated[
        str, typer.Option(help="all, or runtimes separated by commas, such as openvino,tensorrt:dla0.")
    ] = "all",
    precision: Annotated[str, typer.Option(help="all, or some of int8,fp16,fp32.")] = "all",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of the table.")] = False,
) -> None:
    from edge_iqa.bundle import default_bundle_path, read_bundle
    from edge_iqa.cli.verify_report import verification_document, verification_table
    from edge_iqa.errors import BarMissed
    from edge_iqa.verify import choose_targets, verify

    targets = choose_targets(_names(backend), _names(precision))
    checked = read_bundle(default_bundle_path() if bundle is None else bundle)
    found = verify(checked, targets)
    if as_json:
        print(json.dumps(verification_document(checked, found), indent=1))
    else:
        print(verification_table(checked, found))
    if not found.passed:
        raise BarMissed(
            f"{checked.path.name} does not give here what it gave where it was made",
            why=found.fault(),
            fix="'edge-iqa doctor' shows the versions; compare with those in the bundle's manifest",
        )


def _names(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]
