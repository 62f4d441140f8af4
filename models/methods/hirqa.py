"""HiRQA end to end: trunk and attention pool learn together from rank targets, feature distances and prompts.

Unlike the default of ``--method hirqa``, which trains a linear layer on a frozen trunk (``edge_iqa.models.train``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from edge_iqa.models.hirqa import EMBEDDING, HiRQA
from edge_iqa.models.methods.base import TrainingMethod, flat_labels, flat_pixels
from edge_iqa.models.objectives.hirqa import (
    embedding_distance_loss,
    pair_of_pairs_loss,
    ranking_loss,
    text_alignment_loss,
)
from edge_iqa.models.prompts import structured_prompt
from edge_iqa.models.text import TextEncoder, load_text_encoder
from edge_iqa.models.training_batches import Batch, batch_generator
from edge_iqa.models.training_data import TrainingSet, rank_targets
from edge_iqa.models.training_recipe import TrainingRecipe
from edge_iqa.models.trunk_teachers import HiRQALite, spread_head
from edge_iqa.models.trunks import LITE, start_trunk


@dataclass(frozen=True)
class HirqaObjective:
    """Weights of the four terms (0 leaves one out) and their settings; see ``objectives/hirqa.py``."""

    ranking: float = 1.0
    pair_of_pairs: float = 1.0
    embedding: float = 0.3
    text: float = 0.1
    alpha: float = 0.8
    distance_scale: float = 1.0
    temperature: float = 0.1
    pair_samples: int = 16384


class HirqaMethod(TrainingMethod):
    """HiRQA on a ResNet or on EfficientNet-Lite0."""

    network: HiRQA | HiRQALite
    prompt_vectors: Tensor

    def __init__(self, recipe: TrainingRecipe, spec: HirqaObjective) -> None:
        super().__init__()
        self._spec = spec
        self._metrics = recipe.data.metrics
        if recipe.backbone == LITE:
            self.network, self.network_name = HiRQALite(), "hirqa-lite"
        else:
            depth = 50 if recipe.backbone == "resnet-50" else 18
            self.network, self.network_name = HiRQA(depth), "hirqa" if depth == 50 else "hirqa-s"
        self.start = start_trunk(self.network.backbone, recipe.weights)
        self._text: TextEncoder | None = None
        self.projection: nn.Linear | None = None
        if spec.text > 0 and recipe.text != "none":
            self._text = load_text_encoder(recipe.text)
            self.projection = nn.Linear(EMBEDDING, self._text.width)
        self.register_buffer("prompt_vectors", torch.zeros(0), persistent=False)

    def batch_extra(self, data: TrainingSet) -> dict[str, NDArray[Any]]:
        prompts, numbers = numbered_prompts(data)
        if self._text is not None:
            self.prompt_vectors = self._text.encode(prompts).to(self.prompt_vectors.device)
        return {"targets": rank_targets(data, self._metrics), "prompts": numbers}

    def pretrained_parameters(self) -> list[nn.Parameter]:
        return list(self.network.backbone.parameters())

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        spec = self._spec
        features = self.network.features(flat_pixels(batch, self.network)).float()
        scores = torch.sigmoid(self.network.logit(features)).squeeze(1)
        targets = batch["targets"].flatten()
        contents, _, _ = flat_labels(batch)
        terms = {
            "ranking": ranking_loss(scores, targets, alpha=spec.alpha),
            "pair_of_pairs": pair_of_pairs_loss(
                scores, targets, alpha=spec.alpha, samples=spec.pair_samples, generator=batch_generator(batch)
            ),
            "embedding": embedding_distance_loss(
                features,
                (targets[:, None] - targets[None, :]).abs(),
                (contents[:, None] == contents[None, :]).triu(1),
                scale=spec.distance_scale,
            ),
        }
        if self.projection is not None:
            terms["text"] = text_alignment_loss(
                self.projection(features),
                self.prompt_vectors,
                batch["prompts"].flatten(),
                temperature=spec.temperature,
            )
        loss = sum((getattr(spec, name) * value for name, value in terms.items()), torch.zeros_like(terms["ranking"]))
        return {"loss": loss, **terms}

    def fix_scale(self, logits: Tensor) -> None:
        head = self.network.fc[0]
        assert isinstance(head, nn.Linear)
        spread_head(head, logits)


def numbered_prompts(data: TrainingSet) -> tuple[list[str], NDArray[np.int64]]:
    """Return the different prompts of a set and the number of each picture's prompt ``(C, V)``."""
    texts = [[structured_prompt(steps) for steps in content] for content in data.steps]
    prompts = sorted({text for content in texts for text in content})
    number = {text: index for index, text in enumerate(prompts)}
    return prompts, np.array([[number[text] for text in content] for content in texts], np.int64)
