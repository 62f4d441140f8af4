"""HiRQA's higher-order ranking, in our formulation.

The paper (arXiv 2508.15130) names a pair-of-pairs ranking loss, an embedding-distance loss and a text alignment; its
equations are not public. What stands here is ours, for scores q in (0, 1) and a target t in [0, 1], higher is better:

    first order    L1 = mean max(0, α (t_i - t_j) - (q_i - q_j))                    over pairs with t_i - t_j > δ
    pair of pairs  L2 = mean max(0, α (g_a - g_b) - (d_a - d_b))                    over pairs of pairs, g_a - g_b > δ
                   with g = t_i - t_j > 0 the target's gap and d = q_i - q_j the score's gap of a pair
    embedding      L3 = mean |(1 - cos(f_i, f_j)) / 2 - β p_ij|                     over pairs of one content
                   with f the pooled features and p in [0, 1] the perceptual difference of two pictures
    text           L4 = InfoNCE between the projected features and the prompt "a photo with {severity} {distortion}",
                   from picture to prompt and from prompt to picture, the prompts of the batch being the choices

L1 asks for the right order with room in proportion to the difference; L2 asks that the larger difference in quality
is also the larger difference in score, which ties the scale together across distortions. α < 1 because a bounded
score cannot keep a full margin everywhere. L3 keeps what looks alike together in feature space and what looks
different apart in proportion; it is taken within a content, because across contents no full-reference metric says how
different two pictures look. L4 ties directions of the features to kinds of damage. The prompts are only needed while
training.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def ranking_loss(scores: Tensor, targets: Tensor, *, alpha: float = 0.8, least_gap: float = 0.02) -> Tensor:
    """Return the first-order loss, a scalar, of ``scores`` ``(N,)`` against ``targets`` ``(N,)``."""
    gap = targets[:, None] - targets[None, :]
    difference = scores[:, None] - scores[None, :]
    violations = torch.relu(alpha * gap - difference)
    counted = gap > least_gap
    return violations[counted].sum() / counted.sum().clamp(min=1)


def pair_of_pairs_loss(
    scores: Tensor,
    targets: Tensor,
    *,
    alpha: float = 0.8,
    least_gap: float = 0.05,
    samples: int = 16384,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Return the second-order loss, a scalar, over ``samples`` random pairs of pairs."""
    index = torch.randint(len(scores), (4, samples), generator=generator).to(scores.device)
    first, second = (
        _ordered_gaps(scores, targets, index[0], index[1]),
        _ordered_gaps(scores, targets, index[2], index[3]),
    )
    gap, difference = first[0] - second[0], first[1] - second[1]
    sign = torch.sign(gap)
    violations = torch.relu(alpha * gap * sign - difference * sign)
    counted = gap.abs() > least_gap
    return violations[counted].sum() / counted.sum().clamp(min=1)


def _ordered_gaps(scores: Tensor, targets: Tensor, left: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
    """Return target gap (>= 0) and score gap of pairs, each pair turned so that the better picture comes first."""
    gap = targets[left] - targets[right]
    difference = scores[left] - scores[right]
    sign = torch.where(gap < 0, -1.0, 1.0)
    return gap * sign, difference * sign


def embedding_distance_loss(features: Tensor, differences: Tensor, counted: Tensor, *, scale: float = 1.0) -> Tensor:
    """Return L3, a scalar, of features ``(N, F)`` against perceptual differences ``(N, N)`` in [0, 1].

    ``counted`` ``(N, N)`` bool says which pairs have a difference; ``scale`` is β.
    """
    unit = F.normalize(features, dim=1)
    distance = (1 - unit @ unit.T) / 2
    deviation = (distance - scale * differences).abs()
    return deviation[counted].sum() / counted.sum().clamp(min=1)


def text_alignment_loss(features: Tensor, prompts: Tensor, prompt_of: Tensor, *, temperature: float = 0.1) -> Tensor:
    """Return L4, a scalar, of projected features ``(N, E)`` and prompt embeddings ``(P, E)``.

    ``prompt_of`` ``(N,)`` names the prompt of each picture, int64 in 0..P-1; only the prompts that occur are choices.
    """
    present, position = torch.unique(prompt_of, return_inverse=True)
    logits = F.normalize(features, dim=1) @ F.normalize(prompts[present], dim=1).T / temperature
    to_text = F.cross_entropy(logits, position)
    log_share = torch.log_softmax(logits, dim=0).gather(1, position[:, None]).squeeze(1)
    per_prompt = torch.zeros(len(present), dtype=logits.dtype, device=logits.device).index_add(0, position, log_share)
    to_picture = -(per_prompt / torch.bincount(position, minlength=len(present))).mean()
    return (to_text + to_picture) / 2


def hirqa_loss(
    scores: Tensor,
    targets: Tensor,
    *,
    order_weight: float = 1.0,
    pair_weight: float = 1.0,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Return ``order_weight`` times first order plus ``pair_weight`` times pair-of-pairs."""
    second = pair_of_pairs_loss(scores, targets, generator=generator)
    return order_weight * ranking_loss(scores, targets) + pair_weight * second
