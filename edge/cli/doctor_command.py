"""``edge-iqa doctor``: what this machine has, what is missing for each target, and how to mend it."""

from __future__ import annotations

import json
from typing import Annotated

import typer


def command(
    device: Annotated[
        str | None, typer.Option(help="Exit with 0 if this device can be used here and 4 if not, such as openvino:gpu.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of the table.")] = False,
) -> None:
    from edge_iqa.cli.doctor_report import diagnosis_document, diagnosis_table
    from edge_iqa.doctor import check_device, diagnose
    from edge_iqa.errors import DeviceUnavailable

    if device is not None:
        check_device(device)
    found = diagnose()
    if as_json:
        print(json.dumps(diagnosis_document(found, device), indent=1))
    else:
        print(diagnosis_table(found, device))
    if device is not None and not found.present(device):
        raise typer.Exit(DeviceUnavailable.exit_code)
