"""Attention that does not hang on one position: what rounding moves in its logits must not choose another.

Where a head's logits lie tens of deviations apart, the softmax gives all its weight to one position, and a small change
of two logits that are near each other gives it to the other. The pool of a HiRQA-S without this read 1.2 positions of
192 (one over the summed squares of its weights), its heads' logits deviated by 9 to 43 over positions, and on the
twelve pictures that drifted most in int8 the weights of positions moved the logit by .066 (root mean square), what was
read there by .007.

A head whose logits deviate by more is scaled down, in float, by its query; the training that follows bounds
(``edge_iqa.quantize.bounds``) brings back what that took. A temperature for attention is known from distillation; that
one is set for the sake of rounding is ours.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, fx, nn

from edge_iqa.quantize.watch import watch


@torch.no_grad()
def soften(network: fx.GraphModule, pictures: Sequence[Tensor], deviation: float) -> None:
    """Scale queries, in place, until no head's logits deviate by more than that over positions.

    ``network`` is traced; deviations are means over ``pictures``, normalised ``(N, 3, H, W)`` batches. A network
    without attention stays as it is.
    """
    for softmax in [node for node in network.graph.nodes if node.target is torch.softmax]:
        logits = softmax.all_input_nodes[0]
        found = torch.cat(watch(network, [logits], pictures, _over_positions)[logits]).mean(0)
        factor = (deviation / found).clamp(max=1.0)
        query = _query(network, logits)
        query.weight.view(len(factor), -1).mul_(factor[:, None])
        query.bias.view(len(factor), -1).mul_(factor[:, None])


def _over_positions(logits: Tensor) -> Tensor:
    """Return the deviations ``(N, heads)`` of attention logits ``(N, heads, 1, positions)``."""
    return logits[:, :, 0].std(-1, correction=0)


def _query(network: fx.GraphModule, logits: fx.Node) -> nn.Linear:
    """Return the layer that makes queries: the first that products of query and key lead back to."""
    node = logits
    while node.op != "call_module":
        node = node.all_input_nodes[0]
    found = network.get_submodule(str(node.target))
    assert isinstance(found, nn.Linear)
    return found
