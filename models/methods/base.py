"""What the training loop needs of a method, and what all methods share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from edge_iqa.models.checkpoint import Teacher
from edge_iqa.models.teacher import normalised
from edge_iqa.models.training_batches import Batch
from edge_iqa.models.training_data import TrainingSet

_PICTURES_AT_ONCE = 16


class TrainingMethod(nn.Module, ABC):
    """A method while it trains: its network and whatever else learns with it.

    ``forward(batch)`` returns the terms of the loss; ``loss`` is what is minimised, the others are only logged.
    ``network`` is what is saved in the end.
    """

    network: Teacher
    network_name: str
    start: str

    @abstractmethod
    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Return the terms of the loss of a batch, scalars, ``loss`` among them."""

    @abstractmethod
    def pretrained_parameters(self) -> list[nn.Parameter]:
        """Return the parameters that learn at the lower rate."""

    def new_parameters(self) -> list[nn.Parameter]:
        """Return the other parameters that learn."""
        slow = {id(parameter) for parameter in self.pretrained_parameters()}
        return [value for value in self.parameters() if value.requires_grad and id(value) not in slow]

    def batch_extra(self, data: TrainingSet) -> dict[str, NDArray[Any]]:
        """Return further arrays with a row per crop that a batch should carry (``ContentBatches``)."""
        return {}

    def prepare(self, data: TrainingSet) -> None:
        """Compute once, before the first step, what does not change while training."""

    def settle(self, data: TrainingSet) -> None:
        """Bring what the score needs besides the parameters up to date; before every look and at the end."""

    @abstractmethod
    def fix_scale(self, logits: Tensor) -> None:
        """Shift and scale the network's logit so that the ``logits`` ``(N,)`` it gave get mean 0 and deviation 1."""


def flat_pixels(batch: Batch, network: Teacher) -> Tensor:
    """Return all pictures of a batch as ``(B V, 3, S, S)``, normalised for the network; content after content."""
    return normalise(batch["pictures"].flatten(0, 1), network)


def normalise(pictures: Tensor, network: Teacher) -> Tensor:
    """Turn uint8 ``(N, H, W, 3)`` on any device into the network's input ``(N, 3, H, W)``."""
    if pictures.device.type == "cpu":
        return normalised(pictures, network.mean, network.std)
    mean, std = torch.tensor([network.mean, network.std], device=pictures.device)
    ready: Tensor = ((pictures.float() / 255 - mean) / std).permute(0, 3, 1, 2).contiguous()
    return ready


def flat_labels(batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    """Return content, chain and level of every picture of a batch, ``(B V,)`` each."""
    versions = batch["chains"].shape[1]
    return batch["contents"].repeat_interleave(versions), batch["chains"].flatten(), batch["levels"].flatten()


def pristine_crops(data: TrainingSet) -> Iterator[Tensor]:
    """Yield the undistorted crop of every content, uint8 ``(1, S, S, 3)``."""
    pictures = data.open_pictures()
    for row in range(len(pictures)):
        yield torch.from_numpy(np.array(pictures[row, :1]))


@torch.no_grad()
def score_set(network: Teacher, data: TrainingSet, rows: Sequence[int] | None = None) -> Tensor:
    """Return the logits ``(R, V)`` of all versions of the crops ``rows`` (all by default), on the CPU."""
    device = next(network.parameters()).device
    pictures = data.open_pictures()
    was_training = network.training
    network.eval()
    scores: list[Tensor] = []
    for row in range(len(pictures)) if rows is None else rows:
        versions = torch.from_numpy(np.array(pictures[row]))
        parts = [
            network.logit(network.features(normalise(part.to(device), network))).squeeze(1)
            for part in torch.split(versions, _PICTURES_AT_ONCE)
        ]
        scores.append(torch.cat(parts).float().cpu())
    network.train(was_training)
    return torch.stack(scores)
