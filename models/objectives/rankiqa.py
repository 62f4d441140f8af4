"""RankIQA's pairwise hinge from one forward pass per picture (Liu, van de Weijer, Bagdanov, ICCV 2017).

    ranking      L = (1/N) sum max(0, ε - (q_i - q_j))      over pairs (i better than j) of one distortion type
    fine-tuning  L = (1/2N) sum (q_i - s_i)²                 against human scores s, the second step (RankIQA+FT)

The paper's: every picture goes through the network once, and the gradient of all pairs in the batch is taken from
those N scores (N passes instead of the N² - N of a Siamese pair at a time); the sum is divided by the number of
pictures, not of pairs; pairs never cross distortion types. The paper's ε is 10 for its network on values 0..255.
Ours: pairs come from one content, the undistorted picture is the better one in every type of its content, and ε is a
setting of the recipe.
"""

from __future__ import annotations

import torch
from torch import Tensor


def same_type_pairs(contents: Tensor, types: Tensor, levels: Tensor) -> Tensor:
    """Return ``(N, N)`` bool: picture i is known to be better than picture j.

    ``contents``, ``types`` and ``levels`` are ``(N,)`` int64. A pair counts where the content is the same, the level of
    i is lower, and the type is the same or i is undistorted (level 0). Pictures of type -1 and level above 0 (mixtures
    without an order) are in no pair.
    """
    same_content = contents[:, None] == contents[None, :]
    same_type = (types[:, None] == types[None, :]) | (levels[:, None] == 0)
    ordered = (types >= 0) | (levels == 0)
    lower = levels[:, None] < levels[None, :]
    return same_content & same_type & lower & ordered[:, None] & ordered[None, :]


def rankiqa_loss(scores: Tensor, better: Tensor, *, margin: float = 1.0) -> Tensor:
    """Return the ranking loss, a scalar, of ``scores`` ``(N,)`` for the pairs in ``better`` ``(N, N)`` bool."""
    difference = scores[:, None] - scores[None, :]
    return torch.relu(margin - difference)[better].sum() / max(len(scores), 1)


def score_loss(scores: Tensor, opinions: Tensor) -> Tensor:
    """Return the fine-tuning loss, a scalar, of ``scores`` ``(N,)`` against human scores ``(N,)``."""
    return (scores - opinions).square().mean() / 2
