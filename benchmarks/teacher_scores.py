"""Score decoded pictures with a network in PyTorch: a teacher's file, or one in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edge_iqa.lazy import need

if TYPE_CHECKING:
    from torch import nn

ScoreArray = Callable[[NDArray[np.uint8]], float]


def require_torch() -> None:
    """Raise MissingDependency where a teacher cannot be run here."""
    need("torch", "train")
    need("safetensors", "train")


def teacher_scorer(path: Path) -> ScoreArray:
    """Return a scorer of a network from 'train' or 'import'.

    Raises MissingDependency, InvalidInput or ModelRefused.
    """
    require_torch()
    from edge_iqa.models.checkpoint import load_network

    network, _, _ = load_network(path)
    return array_scorer(network, network.mean, network.std)


def array_scorer(network: nn.Module, mean: Sequence[float], std: Sequence[float]) -> ScoreArray:
    """Return a function from a uint8 RGB picture ``(H, W, 3)``, at its own size, to the network's score of it."""
    import torch

    from edge_iqa.models.teacher import normalised

    network.eval()

    def score(pixels: NDArray[np.uint8]) -> float:
        with torch.inference_mode():
            return float(network(normalised(torch.from_numpy(pixels)[None], tuple(mean), tuple(std))))

    return score
