"""Where a traced network is rounded, and which of these tensors meet in sums.

Rounding goes where every target expects it: after each convolution, or its ReLU, ReLU6 or bound where one follows, and
after each residual sum likewise. The places are the same with rounding in them and without.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import fx, nn

from edge_iqa.quantize.fake_quantization import ActivationFakeQuant


@dataclass(frozen=True)
class Place:
    """A tensor that is rounded: what ``node`` gives; ``begin`` is the convolution or sum before its activation."""

    node: fx.Node
    begin: fx.Node
    after_relu: bool
    summed: bool


def module_at(modules: Mapping[str, nn.Module], node: fx.Node) -> nn.Module | None:
    """Return which of a traced network's ``modules``, by their names, ``node`` calls; None where it calls none."""
    return modules.get(str(node.target)) if node.op == "call_module" else None


def activation_of(modules: Mapping[str, nn.Module], node: fx.Node) -> fx.Node | None:
    """Return the ReLU, ReLU6 or bound that alone reads ``node`` of a traced network, if there is one."""
    (reader, *others) = node.users or [None]
    found = None if reader is None or others else module_at(modules, reader)
    return reader if isinstance(found, nn.ReLU | nn.Hardtanh) else None


def is_sum(node: fx.Node) -> bool:
    """Say whether a node of a traced network adds two tensors."""
    return node.op == "call_function" and node.target in (operator.add, torch.add)


def rounded_places(network: fx.GraphModule) -> list[Place]:
    """Return the places of a traced network in its order, without its input."""
    modules = dict(network.named_modules())
    places = []
    for node in network.graph.nodes:
        if not is_sum(node) and not isinstance(module_at(modules, node), nn.Conv2d):
            continue
        end = activation_of(modules, node)
        shape = None if end is None else module_at(modules, end)
        after_relu = isinstance(shape, nn.ReLU) or (isinstance(shape, nn.Hardtanh) and shape.min_val == 0)
        places.append(Place(end or node, node, after_relu, is_sum(node)))
    return places


def added_places(network: fx.GraphModule, places: Sequence[Place]) -> list[list[Place]]:
    """Return ``places`` in groups: those that meet in sums, through all blocks, are in one; so is each other alone."""
    modules = dict(network.named_modules())
    groups = {place.node: [place] for place in places}
    for place in places:
        for source in place.begin.all_input_nodes if place.summed else ():
            ours, theirs = groups[place.node], groups.get(place_before(modules, groups, source) or place.node, [])
            if theirs is not ours:
                ours += theirs
                groups |= {one.node: ours for one in theirs}
    return [group for place, group in groups.items() if group[0].node is place]


def place_before(modules: Mapping[str, nn.Module], places: Mapping[fx.Node, object], node: fx.Node) -> fx.Node | None:
    """Return the one of ``places`` that ``node`` passes on: itself, or what rounding and max pools before it read."""
    while node not in places:
        if not isinstance(module_at(modules, node), ActivationFakeQuant | nn.MaxPool2d):
            return None
        node = node.all_input_nodes[0]
    return node


def rounding_after(modules: Mapping[str, nn.Module], node: fx.Node) -> fx.Node | None:
    """Return the call that rounds what ``node`` of a prepared network gives, if there is one."""
    return next((user for user in node.users if isinstance(module_at(modules, user), ActivationFakeQuant)), None)
