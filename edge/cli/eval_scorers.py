"""What ``edge-iqa eval`` scores pictures with: a function of a picture, and what the report says of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from edge_iqa.benchmarks.datasets.resolution import Resolution

Picture = NDArray[np.uint8]


@dataclass(frozen=True)
class EvalScorer:
    """A scorer to evaluate: ``measure`` takes a picture ``(H, W, 3)`` uint8 RGB, higher is better.

    ``description`` goes into the JSON as it is, ``title`` and the shorter ``name`` are for people. ``resize`` comes
    before the measure.
    """

    name: str
    title: str
    description: dict[str, Any]
    measure: Callable[[Picture], float]
    resize: Callable[[Picture], Picture] | None = None

    def score(self, path: Path) -> float:
        """Score a picture's file; raises ImageError where it cannot be scored."""
        from edge_iqa.decode import read_image

        picture = read_image(path)
        return self.measure(picture if self.resize is None else self.resize(picture))

    def at(self, resolution: Resolution) -> EvalScorer:
        """Return the same scorer for pictures at a dataset's resolution."""
        return replace(self, resize=resolution.apply)


def bundle_scorer(bundle: Path | None, backend: str, precision: str, threads: int | None) -> EvalScorer:
    """Return a scorer that runs a bundle (None: the embedded default) on a runtime."""
    import edge_iqa

    scorer = edge_iqa.load(bundle, backend, precision, threads)
    manifest = scorer.bundle.manifest
    description = {
        "bundle": {"name": manifest.name, "model": manifest.model, "sha256": scorer.bundle.sha256},
        "backend": scorer.backend.name,
        "backend_version": scorer.backend.version,
        "precision": precision,
        "threads": threads,
    }
    title = f"{manifest.name} ({precision}, {scorer.backend.name} {scorer.backend.version})"
    return EvalScorer(manifest.name, title, description, lambda picture: scorer(picture).value)


def baseline_scorer(name: str) -> EvalScorer:
    """Return a classical measure by name; raises InvalidInput for an unknown one."""
    from edge_iqa.benchmarks.baselines import BASELINES
    from edge_iqa.errors import InvalidInput
    from edge_iqa.lazy import need

    if name not in BASELINES:
        raise InvalidInput(f"There is no baseline {name!r}", fix=f"one of: {', '.join(BASELINES)}")
    if name == "brisque":
        need("brisque", "baselines")
    return EvalScorer(name, f"baseline {name}", {"baseline": name}, BASELINES[name])


def network_scorer(path: Path) -> EvalScorer:
    """Return a scorer that runs a network from 'train' or 'import' in PyTorch, at the picture's own size."""
    from edge_iqa.lazy import need

    need("torch", "train")
    need("safetensors", "train")
    import torch

    from edge_iqa.models.checkpoint import file_sha256, load_network
    from edge_iqa.models.teacher import normalised

    network, name, _ = load_network(path)

    def measure(picture: Picture) -> float:
        pixels = torch.from_numpy(picture)[None]
        with torch.inference_mode():
            return float(network(normalised(pixels, network.mean, network.std)))

    description = {"model": {"network": name, "sha256": file_sha256(path)}, "torch": torch.__version__}
    return EvalScorer(name, f"{name} ({path.name}, PyTorch, full resolution)", description, measure)
