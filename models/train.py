"""``edge-iqa train``: from a folder of photographs to a teacher."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import torch

import edge_iqa
from edge_iqa.models.checkpoint import save_network
from edge_iqa.models.efficientnet_lite import load_imagenet
from edge_iqa.models.memory import keep_freed_memory
from edge_iqa.models.stage_statistics import StageStatistics
from edge_iqa.models.synthesis import SynthesisSpec, find_photographs, synthesize
from edge_iqa.models.teacher import TeacherSpec, extract_features, fit_head, learnt_from, quality_targets

Report = Callable[[str, int, int, float | None], None]


def train_teacher(
    photographs_folder: Path,
    output: Path,
    synthesis: SynthesisSpec,
    spec: TeacherSpec,
    *,
    work: Path | None = None,
    report: Report,
) -> list[float]:
    """Train a teacher on the photographs below a folder, write it to ``output``, return the loss of every step."""
    keep_freed_memory()
    photographs = find_photographs(photographs_folder)
    network = StageStatistics()
    load_imagenet(network.trunk)
    network.eval()
    with tempfile.TemporaryDirectory() as temporary:
        data = synthesize(
            photographs,
            synthesis,
            (work or Path(temporary)) / "photographs",
            workers=2,
            progress=lambda done, total: report("distorting", done, total, None),
        )
        features = extract_features(network, data, lambda done, total: report("features", done, total, None))
    targets = torch.from_numpy(quality_targets(data, spec.metrics))
    report("ranking", 0, spec.steps, None)
    used = torch.from_numpy(learnt_from(data, spec))
    losses = fit_head(network, features, targets, spec, used)
    report("ranking", spec.steps, spec.steps, losses[-1])
    notes = {
        "method": "hirqa",
        "photographs": len(photographs),
        "photographs_sha256": data.data_sha256,
        "synthesis": asdict(synthesis),
        "training": asdict(spec),
        "versions": {"edge-iqa": edge_iqa.__version__, "torch": torch.__version__},
    }
    save_network(network, "stage-statistics", output, notes)
    return losses
