"""From a float network to one with fake quantization: trace, fold batch norm, place the rounding.

Rounding is placed where every target expects it: on the network's input, after each convolution (after its ReLU or
ReLU6 where one follows) and after each residual add (and its ReLU). Both inputs of an add are thereby quantized. A
range after ReLU6 is never above 6, so that rounding also clips there; where activations are bounded
(``edge_iqa.quantize.bounds``) it ends at the bound. Max-pool passes its input's scale on. Pooling means, the head and
the output stay float: a score on 256 levels would collapse.
"""

from __future__ import annotations

import copy

from torch import fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from edge_iqa.models.efficientnet_lite import SameConv2d
from edge_iqa.quantize.fake_quantization import SIGNED_LEVELS, UNSIGNED_LEVELS, ActivationFakeQuant, QuantConv2d
from edge_iqa.quantize.pixel_grid import PixelGrid
from edge_iqa.quantize.places import module_at, rounded_places
from edge_iqa.quantize.spare_channels import share_rounding


class _Tracer(fx.Tracer):
    """Traces through our modules but keeps convolutions with uneven padding whole."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, SameConv2d) or super().is_leaf_module(m, module_qualified_name)


def fold_batch_norm(model: nn.Module) -> fx.GraphModule:
    """Return a traced copy of ``model`` in evaluation mode, with every batch norm folded into its convolution."""
    model = copy.deepcopy(model).eval()
    graph_module = fx.GraphModule(model, _Tracer().trace(model))
    modules = dict(graph_module.named_modules())
    for node in list(graph_module.graph.nodes):
        if node.op != "call_module" or not isinstance(modules[node.target], nn.BatchNorm2d):
            continue
        source = node.args[0]
        conv = modules.get(source.target) if source.op == "call_module" else None
        if not isinstance(conv, nn.Conv2d) or len(source.users) != 1:
            continue
        fused = fuse_conv_bn_eval(conv, modules[node.target])
        replace_module(graph_module, source.target, fused)
        modules[source.target] = fused
        node.replace_all_uses_with(source)
        graph_module.graph.erase_node(node)
    graph_module.delete_all_unused_submodules()
    graph_module.recompile()
    return graph_module


def prepare(
    model: nn.Module,
    *,
    weight_bits: int = 8,
    float_prefixes: tuple[str, ...] = (),
    pixels: PixelGrid | None = None,
    signed: bool = False,
    spare_channels: bool = True,
) -> fx.GraphModule:
    """Return a copy of ``model`` with fake quantization; it trains like the original, once ranges are set.

    ``weight_bits`` is 7 or 8; both are safe on every processor, and TensorRT needs no care (``QuantConv2d``).
    Convolutions whose names start with one of ``float_prefixes`` stay float, and so does what they alone read.
    ``pixels`` fixes the rounding of the input. With ``signed``, every activation has TensorRT's 127 levels on each side
    of zero; else those after a ReLU have 255 above it. With ``spare_channels`` dead channels share the rounding of
    others (``edge_iqa.quantize.spare_channels``).
    """
    graph_module = fold_batch_norm(model)
    if spare_channels:
        share_rounding(graph_module, SIGNED_LEVELS if signed else UNSIGNED_LEVELS)
    graph = graph_module.graph
    for name, module in list(graph_module.named_modules()):
        if isinstance(module, nn.Conv2d) and not name.startswith(float_prefixes or ("\0",)):
            replace_module(graph_module, name, QuantConv2d(module, weight_bits, paired=not signed))
    modules = dict(graph_module.named_modules())
    rounders = nn.ModuleDict()
    graph_module.add_module("activations", rounders)
    owner: dict[fx.Node, str] = {}

    def only_float_reads(node: fx.Node) -> bool:
        readers = [module_at(modules, user) for user in node.users]
        return bool(readers) and all(type(reader) in (nn.Conv2d, SameConv2d) for reader in readers)

    def insert_after(
        node: fx.Node,
        name: str | None = None,
        *,
        grid: PixelGrid | None = None,
        after_relu: bool = False,
        bound: float | None = None,
    ) -> None:
        if only_float_reads(node):
            return
        if name is None:
            name = f"q{len(rounders)}"
            unsigned = after_relu and not signed
            step = None if bound is None else bound / (UNSIGNED_LEVELS if unsigned else SIGNED_LEVELS)
            rounders[name] = ActivationFakeQuant(
                unsigned=unsigned,
                step=step if grid is None else grid.step,
                zero_point=0 if grid is None or signed else grid.zero_point,
            )
        owner[call_after(node, f"activations.{name}")] = name

    places = {place.node: place for place in rounded_places(graph_module)}
    for node in list(graph.nodes):
        module = module_at(modules, node)
        if node.op == "placeholder":
            insert_after(node, grid=pixels)
        elif node in places:
            bounded = isinstance(module, nn.Hardtanh) and not isinstance(module, nn.ReLU6)
            bound = float(module.max_val) if isinstance(module, nn.Hardtanh) and bounded else None
            insert_after(node, after_relu=places[node].after_relu, bound=bound)
        elif isinstance(module, nn.MaxPool2d):
            insert_after(node, owner.get(node.args[0]))
    for node in graph.nodes:
        conv = module_at(modules, node)
        if isinstance(conv, QuantConv2d) and node.args[0] in owner:
            rounder = rounders[owner[node.args[0]]]
            assert isinstance(rounder, ActivationFakeQuant)
            conv.input_rounder = [rounder]
    graph.lint()
    graph_module.recompile()
    return graph_module


def call_after(node: fx.Node, name: str) -> fx.Node:
    """Put a call of the module ``name`` between ``node`` of a traced network and all that reads it, and return it."""
    with node.graph.inserting_after(node):
        called = node.graph.call_module(name, (node,))
    node.replace_all_uses_with(called, delete_user_cb=lambda user: user is not called)
    return called


def replace_module(root: nn.Module, name: str, module: nn.Module) -> None:
    """Put ``module`` at the dotted place ``name`` of ``root``, in place."""
    parent, _, leaf = name.rpartition(".")
    setattr(root.get_submodule(parent), leaf, module)
