"""Tensors that can be made larger, in the layers that write them and against those that read them, unnoticed.

A network of convolutions, ReLUs, bounds, max pools and sums computes the same when a tensor is k times as large where
it is written and its readers take it k times as small. Sums tie all tensors that they go through to one factor.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, fx, nn

from edge_iqa.quantize.fake_quantization import ActivationFakeQuant, QuantConv2d
from edge_iqa.quantize.places import Place, added_places, is_sum, module_at, place_before, rounded_places

_PASSED_ON = ("flatten", "transpose", "permute", "mean", "reshape", "view")
_PASSED_ON_BY = (torch.cat, torch.flatten, torch.mean)


@dataclass(frozen=True)
class Tied:
    """Tensors of one factor, and the convolutions around; ``heads`` are linear layers that read them, or means."""

    places: tuple[Place, ...]
    writers: tuple[nn.Conv2d, ...]
    readers: tuple[nn.Conv2d, ...]
    heads: frozenset[fx.Node]


def tied_tensors(network: fx.GraphModule) -> Iterator[Tied]:
    """Yield the tensors of a traced network, rounded or not, that nothing else reads than convolutions and heads."""
    modules = dict(network.named_modules())
    places = rounded_places(network)
    known = {place.node: place for place in places}
    for group in added_places(network, places):
        readers: list[nn.Conv2d] = []
        heads: set[fx.Node] = set()
        writers = [module for place in group if isinstance(module := module_at(modules, place.begin), nn.Conv2d)]
        inputs = [source for place in group if place.summed for source in place.begin.all_input_nodes]
        if (
            all(place_before(modules, known, source) is not None for source in inputs)
            and all(conv.bias is not None for conv in writers)
            and all(_read_by(modules, place.node, readers, heads) for place in group)
        ):
            yield Tied(tuple(group), tuple(writers), tuple(readers), frozenset(heads))


def _read_by(
    modules: Mapping[str, nn.Module],
    node: fx.Node,
    readers: list[nn.Conv2d],
    heads: set[fx.Node],
    *,
    averaged: bool = False,
) -> bool:
    """Add what reads ``node`` to ``readers`` and ``heads``; return whether it is nothing else."""
    for user in node.users:
        module = module_at(modules, user)
        if isinstance(module, nn.Linear):
            heads.add(user)
        elif isinstance(module, nn.Conv2d) and not averaged:
            readers.append(module)
        elif is_sum(user) and not averaged:
            continue
        elif isinstance(module, ActivationFakeQuant | nn.MaxPool2d) and not averaged:
            if not _read_by(modules, user, readers, heads):
                return False
        elif (user.op == "call_method" and user.target in _PASSED_ON) or user.target in _PASSED_ON_BY:
            if not _read_by(modules, user, readers, heads, averaged=True):
                return False
        elif user.target is not getattr:  # the shape of a tensor
            return False
    return True


@torch.no_grad()
def scale(tied: Tied, factor: Tensor) -> None:
    """Make tensors ``factor`` times as large, in place: one number ``(1,)``, or one for each channel ``(C,)``.

    Heads are left to the caller. For channels, readers are plain or depthwise convolutions.
    """
    for conv in tied.writers:
        for weight, bias in _weights(conv):
            weight.mul_(factor.view(-1, 1, 1, 1))
            bias.mul_(factor)
    for conv in tied.readers:
        for weight, _ in _weights(conv):
            weight.div_(factor.view(1, -1, 1, 1) if conv.groups == 1 else factor.view(-1, 1, 1, 1))


def _weights(conv: nn.Conv2d) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the weights and bias of a convolution, and those of a rounded one that it would have in float."""
    bias = torch.zeros(()) if conv.bias is None else conv.bias
    yield conv.weight, bias
    if isinstance(conv, QuantConv2d):
        yield conv.float_weight, conv.float_bias
