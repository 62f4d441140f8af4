"""Solve the student's linear head exactly, and choose the channels it needs.

Gradient descent leaves a head where its last noisy batches put it, and there is no need for it: the head is linear, so
ridge regression finds the best one. The penalty is strong on purpose. Like the teacher's own, it decides how much the
head may spend on distortions that are only synthetic.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from edge_iqa.models.lite import EXPANDED_WIDTH, MIDDLE_WIDTH, TAIL_WIDTH, HirqaSLite, tail_projection
from edge_iqa.models.student import StudentNetwork
from edge_iqa.models.synthesis import SyntheticSet
from edge_iqa.quantize.batches import Normalisation
from edge_iqa.quantize.reporting import Counted

PICTURES = 6000
PENALTY = 0.1  # per picture, on features of unit deviation
MENDING_PENALTY = 0.02
BATCH = 12


def ridge(features: Tensor, wanted: Tensor, penalty: float) -> tuple[Tensor, Tensor]:
    """Return weight ``(F,)`` and bias of the linear function of ``features`` ``(N, F)`` nearest to ``wanted`` ``(N,)``.

    ``penalty`` is that on the squared weights of features scaled to unit deviation, times ``N``.
    """
    centre, spread = features.mean(0), features.std(0).clamp(min=1e-4)
    scaled = ((features - centre) / spread).double()
    level = wanted.double().mean()
    gram = scaled.T @ scaled + penalty * len(features) * torch.eye(scaled.shape[1], dtype=torch.float64)
    weight = torch.linalg.solve(gram, scaled.T @ (wanted.double() - level)).float() / spread
    return weight, level.float() - weight @ centre


def spread(pictures: NDArray[np.bool_], most: int) -> NDArray[np.int64]:
    """Return the flat numbers of at most ``most`` of the marked pictures ``(C, V)``, spread evenly over the set."""
    marked = np.flatnonzero(pictures)
    return marked[np.unique(np.linspace(0, len(marked) - 1, min(most, len(marked))).astype(np.int64))]


def read(network: nn.Module, pixels: Tensor) -> tuple[Tensor, Tensor]:
    """Return what the head of a student, in whatever form, reads of ``pixels``, ``(N, F)``, and the logits ``(N,)``."""
    head = network.get_submodule("fc.0")
    seen: list[Tensor] = []
    hook = head.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    network(pixels)
    hook.remove()
    return seen[0], head(seen[0]).squeeze(1)


def _pixels(student: StudentNetwork, data: SyntheticSet, chosen: NDArray[np.int64]) -> Tensor:
    versions = data.pictures.shape[1]
    pictures = np.stack([data.pictures[flat // versions, flat % versions] for flat in chosen])
    pixels = Normalisation(student.mean, student.std)(torch.from_numpy(pictures))
    return pixels.contiguous(memory_format=torch.channels_last)


@torch.no_grad()
def embeddings(student: StudentNetwork, data: SyntheticSet, chosen: NDArray[np.int64], progress: Counted) -> Tensor:
    """Return what the head reads of the pictures with the flat numbers ``chosen`` ``(N,)``, as ``(N, F)``."""
    rows: list[Tensor] = []
    for first in range(0, len(chosen), BATCH):
        rows.append(read(student, _pixels(student, data, chosen[first : first + BATCH]))[0])
        progress(min(first + BATCH, len(chosen)), len(chosen))
    return torch.cat(rows)


@torch.no_grad()
def solve_head(
    student: StudentNetwork, data: SyntheticSet, logits: Tensor, learnt: NDArray[np.bool_], progress: Counted
) -> None:
    """Solve the head of ``student`` for the teacher's ``logits`` of the pictures ``learnt``, both ``(C, V)``."""
    chosen = spread(learnt, PICTURES)
    weight, bias = ridge(embeddings(student, data, chosen, progress), logits.flatten()[chosen], PENALTY)
    _set_head(student.fc[0], weight, bias)


@torch.no_grad()
def from_imagenet(
    data: SyntheticSet, logits: Tensor, learnt: NDArray[np.bool_], progress: Counted, *, width: int = TAIL_WIDTH
) -> HirqaSLite:
    """Return a student with ImageNet's features and a head solved like that of ``solve_head``.

    The head is solved on the means of the whole tail block's output, which are linear in what the student reads. Of the
    block's depthwise channels those ``width`` are kept that move the logit most, and the head is solved for the whole
    block's logit on what is left.
    """
    whole = HirqaSLite(EXPANDED_WIDTH).eval()
    whole.load_pretrained()
    chosen = spread(learnt, PICTURES)
    features = embeddings(whole, data, chosen, progress)
    middle, expanded = features[:, :MIDDLE_WIDTH], features[:, MIDDLE_WIDTH:]
    projection = tail_projection()
    weight, bias = ridge(middle + expanded @ projection.T, logits.flatten()[chosen], PENALTY)
    shares = weight @ projection
    wanted = middle @ weight + expanded @ shares
    kept = (shares * expanded.std(0)).abs().topk(width).indices.sort().values
    _set_head(whole.fc[0], torch.cat([weight, shares]), bias)
    student = whole.keep(kept)
    _mend(student.fc[0], torch.cat([middle, expanded[:, kept]], dim=1), wanted + bias)
    return student


def _mend(head: nn.Module, features: Tensor, wanted: Tensor) -> None:
    assert isinstance(head, nn.Linear)
    change, offset = ridge(features, wanted - head(features).squeeze(1), MENDING_PENALTY)
    _set_head(head, head.weight[0] + change, head.bias + offset)


def _set_head(head: nn.Module, weight: Tensor, bias: Tensor) -> None:
    assert isinstance(head, nn.Linear)
    head.weight.copy_(weight[None])
    head.bias.copy_(bias.reshape(1))
