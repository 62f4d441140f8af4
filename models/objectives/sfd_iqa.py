"""SFD-IQA's two discriminators as far as they are public (Dong et al., CVPR 2025, arXiv 2503.19295).

The paper trains the discriminators of a super-resolution network on features of CLIP and then uses them, without
further training, as a quality score: Feat-D judges every position of the middle features, and learnable prompt pairs
(LPP) judge the final embedding. With u the logit of Feat-D at a position and c± the cosines to a learnt prompt pair:

    Feat-D  L_feat   = mean softplus(-u) over undistorted pictures + mean softplus(u) over distorted ones
    LPP     L_prompt = mean softplus(-y κ (c⁺ - c⁻)),  y = +1 for undistorted and -1 for distorted pictures
    score   logit    = mean over positions of u + mean over pairs of κ (c⁺ - c⁻)

The paper's: the two parts, and that they need no score. Not public, hence ours: the losses, which layer is read, how
the two are put together, and the negatives, which here are degraded photographs and not the output of a generator. The
prompt pairs are learnt as vectors beside the embeddings of antonym prompts, not as words of the prompt.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def feature_loss(logits: Tensor, undistorted: Tensor) -> Tensor:
    """Return L_feat, a scalar, of logit maps ``(N, 1, h, w)``; ``undistorted`` ``(N,)`` bool must hold both kinds."""
    real, distorted = logits[undistorted], logits[~undistorted]
    return F.softplus(-real).mean() + F.softplus(distorted).mean()


def prompt_pair_loss(margins: Tensor, undistorted: Tensor) -> Tensor:
    """Return L_prompt, a scalar, of the margins κ (c⁺ - c⁻) ``(N, P)`` of P pairs; both kinds weigh the same."""
    real, distorted = margins[undistorted], margins[~undistorted]
    return (F.softplus(-real).mean() + F.softplus(distorted).mean()) / 2


def fused_logit(logits: Tensor, margins: Tensor) -> Tensor:
    """Return the score before a sigmoid ``(N,)`` of logit maps ``(N, 1, h, w)`` and margins ``(N, P)``."""
    return logits.mean((1, 2, 3)) + torch.mean(margins, dim=1)
