"""RankIQA: every picture once through one network, the hinge over all pairs of a kind; then human scores if wanted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from edge_iqa.decode import read_image
from edge_iqa.models.methods.base import TrainingMethod, flat_labels, flat_pixels, normalise
from edge_iqa.models.objectives.rankiqa import rankiqa_loss, same_type_pairs, score_loss
from edge_iqa.models.training_batches import Batch, chosen_rows, step_generator
from edge_iqa.models.training_recipe import TrainingRecipe
from edge_iqa.models.trunk_teachers import Ranker, spread_head
from edge_iqa.models.trunks import start_trunk


@dataclass(frozen=True)
class RankiqaObjective:
    """The hinge's margin ε, in units of the network's output."""

    margin: float = 1.0


class RankiqaMethod(TrainingMethod):
    """The ranking step."""

    network: Ranker

    def __init__(self, recipe: TrainingRecipe, spec: RankiqaObjective) -> None:
        super().__init__()
        self._spec = spec
        self.network, self.network_name = Ranker(recipe.backbone), "ranker"
        self.start = start_trunk(self.network.backbone, recipe.weights)

    def pretrained_parameters(self) -> list[nn.Parameter]:
        return list(self.network.backbone.parameters())

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        scores = self.network.logit(self.network.features(flat_pixels(batch, self.network))).squeeze(1).float()
        better = same_type_pairs(*flat_labels(batch))
        return {"loss": rankiqa_loss(scores, better, margin=self._spec.margin)}

    def fix_scale(self, logits: Tensor) -> None:
        spread_head(self.network.fc, logits)


class RankiqaFineTuning(TrainingMethod):
    """The second step: the same network learns human scores (this uses opinions; the first step does not)."""

    network: Ranker

    def __init__(self, network: Ranker) -> None:
        super().__init__()
        self.network, self.network_name, self.start = network, "ranker", "ranking"

    def pretrained_parameters(self) -> list[nn.Parameter]:
        return list(self.network.backbone.parameters())

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        scores = self.network.logit(self.network.features(normalise(batch["pictures"], self.network))).squeeze(1)
        return {"loss": score_loss(scores.float(), batch["opinions"])}

    def fix_scale(self, logits: Tensor) -> None:
        """Do nothing: the scale is that of the standardised opinions."""


class ScoredPictures:
    """Batches of photographs with human scores: random windows, scores standardised over the table.

    Keys: ``pictures`` uint8 ``(N, S, S, 3)``, ``opinions`` float32 ``(N,)``. A photograph smaller than the window is
    enlarged to it.
    """

    def __init__(
        self, rows: Sequence[tuple[Path, float]], *, steps: int, pictures: int, window: int, seed: int
    ) -> None:
        self._rows = list(rows)
        opinions = np.array([opinion for _, opinion in self._rows], np.float32)
        self._opinions = (opinions - opinions.mean()) / max(float(opinions.std()), 1e-6)
        self._steps, self._count, self._window, self._seed = steps, pictures, window, seed

    def __len__(self) -> int:
        return self._steps

    def __getitem__(self, step: int) -> Batch:
        rows = chosen_rows(len(self._rows), self._count, step, self._seed)
        generator = step_generator(self._seed, step)
        windows = [self._cut(self._rows[row][0], generator) for row in rows]
        return {"pictures": torch.stack(windows), "opinions": torch.from_numpy(self._opinions[rows])}

    def _cut(self, path: Path, generator: torch.Generator) -> Tensor:
        picture, size = read_image(path), self._window
        scale = size / min(picture.shape[:2])
        if scale > 1:
            target = (max(size, round(picture.shape[1] * scale)), max(size, round(picture.shape[0] * scale)))
            picture = np.asarray(cv2.resize(picture, target, interpolation=cv2.INTER_CUBIC), np.uint8)
        place = torch.rand(2, generator=generator)
        top, left = ((place * torch.tensor([side - size + 1 for side in picture.shape[:2]])).long()).tolist()
        return torch.from_numpy(np.ascontiguousarray(picture[top : top + size, left : left + size]))
