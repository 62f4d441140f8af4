"""QualiCLIP's three margin losses on antonym prompts (Agnolucci, Galteri, Bertini, arXiv 2403.11176).

Two overlapping crops of one picture are degraded alike at L rising levels; c⁺ and c⁻ are the cosines of a crop's CLIP
embedding to a positive and a negative prompt ("Good photo." / "Bad photo." …):

    consistency  L_cons = mean max(0, |c(crop 1, level l) - c(crop 2, level l)| - m_cons)       for c⁺ and c⁻
    positive     L_pos  = mean max(0, m_rank - (c⁺_i - c⁺_j))                                     levels i < j
    negative     L_neg  = mean max(0, m_rank - (c⁻_j - c⁻_i))                                     levels i < j
    score        mean over the prompt pairs of softmax(100 c⁺, 100 c⁻) at c⁺

The paper's (by its README and released scorer): the three losses and what each is for, the seven prompt pairs and the
score. The training code is not public: the formulas above are our reading, and the margins are settings of the recipe.
"""

from __future__ import annotations

import torch
from torch import Tensor

PROMPT_PAIRS: tuple[tuple[str, str], ...] = (
    ("Good photo.", "Bad photo."),
    ("Sharp image.", "Blurry image."),
    ("Sharp edges.", "Blurry edges."),
    ("High-resolution image.", "Low-resolution image."),
    ("Noise-free image.", "Noisy image."),
    ("High-quality image.", "Low-quality image."),
    ("Good picture.", "Bad picture."),
)
LOGIT_SCALE = 100.0


def consistency_loss(first: Tensor, second: Tensor, *, margin: float) -> Tensor:
    """Return L_cons, a scalar, of the cosines of two crops, of the same shape."""
    return torch.relu((first - second).abs() - margin).mean()


def level_loss(cosines: Tensor, *, margin: float) -> Tensor:
    """Return the mean hinge for cosines ``(..., L)`` that should fall from level to level; negate them for L_neg."""
    levels = cosines.shape[-1]
    lower, higher = torch.triu_indices(levels, levels, offset=1).to(cosines.device)
    return torch.relu(margin - (cosines[..., lower] - cosines[..., higher])).mean()


def prompt_score(positive: Tensor, negative: Tensor, *, scale: float = LOGIT_SCALE) -> Tensor:
    """Return the score ``(N,)`` in [0, 1] of cosines ``(N, P)`` to the prompts of P pairs."""
    return torch.sigmoid(scale * (positive - negative)).mean(1)
