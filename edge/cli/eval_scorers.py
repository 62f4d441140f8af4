"""What ``edge-iqa eval`` scores pictures with: a function of a path, and what the report says of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class EvalScorer:
    """A scorer to evaluate: ``score`` takes a picture's path, ``description`` goes into the JSON as it is.

    ``score`` raises ImageError for a picture that cannot be scored; higher is better.
    ``title`` is for people.
    """

    title: str
    description: dict[str, Any]
    score: Callable[[Path], float]


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
    return EvalScorer(title, description, lambda path: scorer(path).value)


def baseline_scorer(name: str) -> EvalScorer:
    """Return a classical sharpness measure by name; raises InvalidInput for an unknown one."""
    from edge_iqa.benchmarks.baselines import BASELINES
    from edge_iqa.decode import read_image
    from edge_iqa.errors import InvalidInput

    if name not in BASELINES:
        raise InvalidInput(f"There is no baseline {name!r}", fix=f"one of: {', '.join(BASELINES)}")
    measure = BASELINES[name]
    return EvalScorer(f"baseline {name}", {"baseline": name}, lambda path: measure(read_image(path)))


def network_scorer(path: Path) -> EvalScorer:
    """Return a scorer that runs a network from 'train' or 'import' in PyTorch, at the picture's own size."""
    from edge_iqa.lazy import need

    need("torch", "train")
    need("safetensors", "train")
    import torch

    from edge_iqa.decode import read_image
    from edge_iqa.models.checkpoint import file_sha256, load_network
    from edge_iqa.models.teacher import normalised

    network, name, _ = load_network(path)

    def score(picture: Path) -> float:
        pixels = torch.from_numpy(read_image(picture))[None]
        with torch.inference_mode():
            return float(network(normalised(pixels, network.mean, network.std)))

    description = {"model": {"network": name, "sha256": file_sha256(path)}, "torch": torch.__version__}
    return EvalScorer(f"{name} ({path.name}, PyTorch, full resolution)", description, score)
