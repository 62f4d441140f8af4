"""Where a training runs: one CPU, one GPU, or the processes that ``torchrun`` started, by Lightning Fabric."""

from __future__ import annotations

import logging
import os
from typing import Any

import torch


def make_fabric(precision: str) -> Any:
    """Return a launched Fabric (``lightning_fabric.Fabric``) for this machine.

    Processes of ``torchrun`` share the work, each with its own GPU or on the CPU; without it, it is one GPU where
    there is one, else the CPU. ``precision`` is Fabric's; ``auto`` is bfloat16 where the GPU has it, float16 on other
    GPUs and float32 on a CPU.
    """
    from lightning_fabric import Fabric

    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    cuda = torch.cuda.is_available()
    if precision == "auto":
        precision = "32-true" if not cuda else "bf16-mixed" if torch.cuda.is_bf16_supported() else "16-mixed"
    processes, local = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    options: dict[str, Any] = {"devices": 1}
    if processes > 1:
        options = {
            "devices": local,
            "num_nodes": processes // local,
            "strategy": "ddp_find_unused_parameters_true",
        }
    fabric = Fabric(accelerator="cuda" if cuda else "cpu", precision=precision, **options)
    fabric.launch()
    return fabric
