"""GRepQ's contrastive losses and its zero-shot score (Srinath, Mitra, Rao, Soundararajan, WACV 2024).

Low level, per content with V versions, z and z' the unit embeddings of two samplings of fragments:

    s_kl = FSIM(x_k, x_l),  α_kl = 2 - 2 / (1 + s_kl²),  S_kl = <z_k, z'_l> / τ,  τ = 0.5
    L = - mean_k log[ sum_l α_kl e^{S_kl} / sum_l e^{S_kl} ] - mean_l log[ sum_k α_kl e^{S_kl} / sum_k e^{S_kl} ]

High level (vision and language), with q = sigmoid((cos_good - cos_bad) / 0.1) from the prompts and two groups, the
pictures of highest and of lowest q in the batch; z the embeddings of the head, T = 0.5:

    l_i = - log[ e^{p_i / T} / (e^{p_i / T} + sum_{k in the other group} e^{cos(z_i, z_k) / T}) ]
    p_i = mean over the others j of i's group of cos(z_i, z_j)

Score: Q_L + Q_H, with d NIQE's distance between the embeddings of a picture's patches and those of pristine patches,

    Q_L = 1 - sigmoid(d / 100),  d² = (μ_p - μ_t)ᵀ [(Σ_p + Σ_t) / 2 + 0.001 I]⁻¹ (μ_p - μ_t)
    Q_H = sigmoid(10 (cos_good - cos_bad))

All of this follows the published code. Ours: any full-reference metric may give s, and without CLIP weights the score
is Q_L alone.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

REGULARIZATION = 0.001
DISTANCE_SCALE = 100.0
PROMPT_SCALE = 10.0


def positive_weights(similarity: Tensor) -> Tensor:
    """Return α of full-reference similarities in [0, 1]: 0 at 0, 1 at 1, of the same shape."""
    return 2 - 2 / (1 + similarity.square())


def quality_contrastive_loss(first: Tensor, second: Tensor, similarity: Tensor, *, temperature: float = 0.5) -> Tensor:
    """Return the low-level loss, a scalar, averaged over contents.

    ``first`` and ``second`` ``(B, V, D)`` are embeddings of two samplings of the same pictures (made unit length here),
    ``similarity`` ``(B, V, V)`` in [0, 1] with ones on the diagonal.
    """
    logits = F.normalize(first, dim=2) @ F.normalize(second, dim=2).transpose(1, 2) / temperature
    weighted = logits + positive_weights(similarity).clamp(min=1e-6).log()
    rows = torch.logsumexp(weighted, dim=2) - torch.logsumexp(logits, dim=2)
    columns = torch.logsumexp(weighted, dim=1) - torch.logsumexp(logits, dim=1)
    return -(rows.mean() + columns.mean())


def group_contrastive_loss(
    embeddings: Tensor, quality: Tensor, *, group_size: int = 4, temperature: float = 0.5
) -> Tensor:
    """Return the high-level loss, a scalar, of embeddings ``(N, D)`` grouped by pseudo-labels ``quality`` ``(N,)``.

    The ``group_size`` pictures of highest and of lowest quality are the two groups; N must be at least twice that.
    """
    if group_size < 2 or len(quality) < 2 * group_size:
        raise ValueError(f"two groups of {group_size} (at least 2) do not fit {len(quality)} pictures")
    order = torch.argsort(quality, descending=True, stable=True)
    chosen = torch.cat([order[:group_size], order[-group_size:]])
    unit = F.normalize(embeddings[chosen], dim=1)
    cosine = unit @ unit.T
    group = torch.arange(2 * group_size, device=embeddings.device) // group_size
    same = group[:, None] == group[None, :]
    others = same & ~torch.eye(2 * group_size, dtype=torch.bool, device=embeddings.device)
    positive = (cosine * others).sum(1) / (group_size - 1) / temperature
    negative = torch.logsumexp((cosine / temperature).masked_fill(same, float("-inf")), dim=1)
    return torch.mean(torch.logaddexp(positive, negative) - positive)


def niqe_distance(pristine_mean: Tensor, pristine_covariance: Tensor, mean: Tensor, covariance: Tensor) -> Tensor:
    """Return d ``(N,)`` from the pristine moments, for patch means ``(N, D)`` and covariances ``(N, D, D)``."""
    difference = mean - pristine_mean
    eye = torch.eye(mean.shape[1], dtype=mean.dtype, device=mean.device)
    pooled = (pristine_covariance + covariance) / 2 + REGULARIZATION * eye
    solved = torch.linalg.solve(pooled, difference[:, :, None]).squeeze(2)
    return torch.sqrt((difference * solved).sum(1).clamp(min=0))


def low_level_score(distance: Tensor) -> Tensor:
    """Return Q_L in (0, 0.5] of distances from pristine, of the same shape."""
    return 1 - torch.sigmoid(distance / DISTANCE_SCALE)


def high_level_score(cosine_good: Tensor, cosine_bad: Tensor) -> Tensor:
    """Return Q_H in (0, 1) of the cosines to the good and the bad prompt, of the same shape."""
    return torch.sigmoid(PROMPT_SCALE * (cosine_good - cosine_bad))
