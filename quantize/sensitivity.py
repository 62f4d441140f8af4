"""Which layers rounding hurts, and keeping chosen ones float.

A budget that int8 misses is met by giving up int8 where that pays most. A layer kept float multiplies float weights
with what its neighbours rounded; where only such layers read a tensor, its rounding is removed too.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, fx, nn

from edge_iqa.models.efficientnet_lite import SameConv2d
from edge_iqa.quantize.fake_quantization import ActivationFakeQuant, QuantConv2d


@dataclass(frozen=True)
class LayerSensitivity:
    """``error`` is the root mean square drift of the logit that is left when layer ``name`` alone is float."""

    name: str
    error: float


def keep_float(prepared: fx.GraphModule, names: Iterable[str]) -> fx.GraphModule:
    """Return a copy of a fake-quantized network whose layers ``names`` are float convolutions."""
    result = copy.deepcopy(prepared)
    for name in names:
        parent, _, leaf = name.rpartition(".")
        setattr(result.get_submodule(parent), leaf, _unrounded(result.get_submodule(name)))
    modules = dict(result.named_modules())
    for node in list(result.graph.nodes):
        if node.op != "call_module" or not isinstance(modules[node.target], ActivationFakeQuant):
            continue
        readers = [modules.get(str(user.target)) for user in node.users]
        if readers and all(isinstance(reader, SameConv2d) for reader in readers):
            node.replace_all_uses_with(node.args[0])
            result.graph.erase_node(node)
    result.delete_all_unused_submodules()
    result.recompile()
    return result


def _unrounded(module: nn.Module) -> SameConv2d:
    assert isinstance(module, QuantConv2d)
    kernel, stride = module.kernel_size[0], module.stride[0]
    conv = SameConv2d(module.in_channels, module.out_channels, kernel, stride, module.groups, bias=True)
    before = int(module.padding[0])
    conv.same_padding = module.same_padding if not before else (before,) * 4
    conv.load_state_dict({"weight": module.float_weight, "bias": module.float_bias})
    return conv


@torch.no_grad()
def layer_sensitivities(
    prepared: fx.GraphModule, network: nn.Module, pictures: Sequence[Tensor]
) -> list[LayerSensitivity]:
    """Return the int8 layers, those first whose rounding costs most.

    ``network`` is the float student, ``pictures`` normalised ``(N, 3, H, W)`` batches.
    """
    wanted = _logits(network, pictures)
    layers = [name for name, module in prepared.named_modules() if isinstance(module, QuantConv2d)]
    found = [LayerSensitivity(name, _error(keep_float(prepared, [name]), wanted, pictures)) for name in layers]
    return sorted(found, key=lambda layer: layer.error)


@torch.no_grad()
def logit_error(prepared: fx.GraphModule, network: nn.Module, pictures: Sequence[Tensor]) -> float:
    """Return the root mean square drift of the logit with all layers rounded as they are."""
    return _error(prepared, _logits(network, pictures), pictures)


def _error(prepared: fx.GraphModule, wanted: Tensor, pictures: Sequence[Tensor]) -> float:
    return float((_logits(prepared, pictures) - wanted).square().mean().sqrt())


def _logits(network: nn.Module, pictures: Sequence[Tensor]) -> Tensor:
    return torch.cat([torch.logit(network(batch).squeeze(1), eps=1e-6) for batch in pictures])
