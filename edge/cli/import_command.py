"""``edge-iqa import``: a checkpoint of the HiRQA authors becomes a safetensors file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer


def command(
    checkpoint: Annotated[Path, typer.Argument(help="The authors' HiRQA.pth or HiRQA-S.pth.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The .safetensors file to write.")],
) -> None:
    from edge_iqa.lazy import need

    need("torch", "train")
    need("safetensors", "train")
    from edge_iqa.models.checkpoint import file_sha256, import_authors_checkpoint, save_network

    network = import_authors_checkpoint(checkpoint)
    name = "hirqa" if network.backbone.channels == 2048 else "hirqa-s"
    save_network(network, name, output, {"source": checkpoint.name, "source_sha256": file_sha256(checkpoint)})
    print(f"{name}: {sum(p.numel() for p in network.parameters()):,} parameters", file=sys.stderr)
    print(output)
