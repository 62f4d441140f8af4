"""From a fake-quantized network to a Q/DQ ONNX graph, which int8 artefacts are made from.

The graph takes uint8 RGB ``(1, H, W, 3)`` and gives float32 ``(1, 1)``: conversion to float,
normalisation and layout are inside.
Activations are QuantizeLinear/DequantizeLinear pairs (int8, zero-point 0; for the CPU runtimes, pixels may have
another); where training had 255 levels after a ReLU, ``edge_iqa.export.qdq.unsigned_dialect`` gives them back.
Weights are int8 initialisers behind one DequantizeLinear per convolution. Padding nodes are merged into their
convolutions.
"""

from __future__ import annotations

import copy
import logging
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import torch
import torch.ao.quantization.fx._decomposed  # registers torch.ops.quantized_decomposed
from onnx import helper, numpy_helper
from torch import Tensor, fx, nn

from edge_iqa.errors import GraphUnsupported
from edge_iqa.quantize.fake_quantization import SIGNED_LEVELS, ActivationFakeQuant, QuantConv2d
from edge_iqa.quantize.places import module_at
from edge_iqa.quantize.prepare import fold_batch_norm, replace_module

INPUT_NAME = "image"
OUTPUT_NAME = "score"


class PixelInput(nn.Module):
    """Put uint8 pixels in front of a network: ``(1, H, W, 3)`` uint8 → the network's ``(1, 1)`` float32.

    One number serves where it is the same for all colours; else channels come first, for runtimes are slow to spread
    three numbers over the last axis of a picture. Where one number serves they come last of all: with another order
    OpenVINO takes normalisation for a dequantization, and the first convolution out of int8.
    """

    offset: Tensor
    factor: Tensor

    def __init__(self, network: nn.Module, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("offset", _per_colour([255.0 * m for m in mean]))
        self.register_buffer("factor", _per_colour([1.0 / (255.0 * s) for s in std]))

    def forward(self, image: Tensor) -> Tensor:
        pixels = image.to(torch.float32)
        if self.offset.ndim or self.factor.ndim:
            out: Tensor = self.network((pixels.permute(0, 3, 1, 2) - self.offset) * self.factor)
        else:
            out = self.network(((pixels - self.offset) * self.factor).permute(0, 3, 1, 2))
        return out


def _per_colour(values: Sequence[float]) -> Tensor:
    """Return ``(3, 1, 1)``, or a scalar where all are the same."""
    found = torch.tensor(values)
    return found[0] if bool((found == found[0]).all()) else found.reshape(-1, 1, 1)


class _QuantizeDequantize(nn.Module):
    def __init__(self, source: ActivationFakeQuant) -> None:
        super().__init__()
        self.scale = float(source.largest) / SIGNED_LEVELS
        self.zero_point = source.zero_point

    def forward(self, x: Tensor) -> Tensor:
        ops = torch.ops.quantized_decomposed
        grid = (self.scale, self.zero_point, -SIGNED_LEVELS - 1, SIGNED_LEVELS, torch.int8)
        out: Tensor = ops.dequantize_per_tensor(ops.quantize_per_tensor(x, *grid), *grid)
        return out


class _DequantizedConv(nn.Module):
    """A convolution on int8 weights behind a dequantization; padding is given per side."""

    bias: Tensor

    def __init__(self, conv: QuantConv2d) -> None:
        super().__init__()
        self.same_padding = conv.same_padding
        self.stride = conv.stride
        self.padding = (int(conv.padding[0]), int(conv.padding[1]))
        self.dilation, self.groups = conv.dilation, conv.groups
        self.limit = conv.weight_max
        self.register_buffer("weight", conv.integer_weight())
        self.register_buffer("scale", conv.weight_scale.detach().clone())
        self.register_buffer("zero_point", torch.zeros_like(conv.weight_scale, dtype=torch.int64))
        self.register_buffer("bias", conv.rounded_bias())

    def forward(self, x: Tensor) -> Tensor:
        if any(self.same_padding):
            x = nn.functional.pad(x, self.same_padding)
        weight = torch.ops.quantized_decomposed.dequantize_per_channel(
            self.weight, self.scale, self.zero_point, 0, -self.limit, self.limit, torch.int8
        )
        return nn.functional.conv2d(x, weight, self.bias, self.stride, self.padding, self.dilation, self.groups)


def freeze(prepared: fx.GraphModule) -> fx.GraphModule:
    """Return a copy of a trained network from ``prepare`` that holds integers behind Q/DQ pairs.

    A ReLU6 whose output is rounded becomes a ReLU: its range ends at 6 or below, and the rounding clips there. So does
    a bound above zero; one on both sides is left out.
    """
    frozen = copy.deepcopy(prepared).eval()
    modules = dict(frozen.named_modules())
    for node in frozen.graph.nodes:
        limited = module_at(modules, node)
        if not isinstance(limited, nn.Hardtanh):
            continue
        readers = [modules.get(str(user.target)) for user in node.users]
        if all(isinstance(reader, ActivationFakeQuant) for reader in readers):
            replace_module(frozen, str(node.target), nn.ReLU() if limited.min_val == 0 else nn.Identity())
    for name, module in modules.items():
        if isinstance(module, ActivationFakeQuant):
            replace_module(frozen, name, _QuantizeDequantize(module))
        elif isinstance(module, QuantConv2d):
            replace_module(frozen, name, _DequantizedConv(module))
    frozen.recompile()
    return frozen


def export_int8(
    prepared: fx.GraphModule, mean: Sequence[float], std: Sequence[float], size: tuple[int, int], path: Path
) -> None:
    """Write the Q/DQ ONNX graph of a fake-quantized network; ``size`` is (height, width) in pixels."""
    _export(PixelInput(freeze(prepared), mean, std), size, path)


def export_float(
    network: nn.Module, mean: Sequence[float], std: Sequence[float], size: tuple[int, int], path: Path
) -> None:
    """Write the float ONNX graph of a network, with batch norm folded; ``size`` is (height, width) in pixels."""
    _export(PixelInput(fold_batch_norm(network), mean, std), size, path)


def _export(model: nn.Module, size: tuple[int, int], path: Path) -> None:
    example = torch.zeros((1, *size, 3), dtype=torch.uint8)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # notes on packages we do not use
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own deprecations
        program = torch.onnx.export(
            model.eval(),
            (example,),
            dynamo=True,
            external_data=False,
            verbose=False,
            input_names=[INPUT_NAME],
            output_names=[OUTPUT_NAME],
        )
    assert program is not None
    graph = program.model_proto
    merge_padding(graph)
    strip_traces(graph)
    onnx.checker.check_model(graph, full_check=True)
    path.write_bytes(graph.SerializeToString())


def merge_padding(model: onnx.ModelProto) -> None:
    """Move each constant zero Pad in front of a convolution into the convolution's ``pads``, in place.

    Raises GraphUnsupported where a Pad is anything else.
    """
    graph = model.graph
    constants = {item.name: item for item in graph.initializer}
    consumers: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            consumers.setdefault(name, []).append(node)
    for pad in [node for node in graph.node if node.op_type == "Pad"]:
        amounts = numpy_helper.to_array(constants[pad.input[1]])
        value = float(numpy_helper.to_array(constants[pad.input[2]])) if len(pad.input) > 2 and pad.input[2] else 0.0
        users = consumers[pad.output[0]]
        spatial_only = amounts.size == 8 and not amounts[[0, 1, 4, 5]].any()
        if value != 0.0 or not spatial_only or any(user.op_type != "Conv" for user in users):
            raise GraphUnsupported(f"Pad node {pad.name!r} cannot be merged", why="not zero padding of a convolution")
        for conv in users:
            conv.input[0] = pad.input[0]
            attribute = next((item for item in conv.attribute if item.name == "pads"), None)
            if attribute is None:
                attribute = conv.attribute.add()
                attribute.CopyFrom(helper.make_attribute("pads", [0, 0, 0, 0]))
            own = np.array(attribute.ints)
            attribute.CopyFrom(helper.make_attribute("pads", (own + amounts[[2, 3, 6, 7]]).tolist()))
        graph.node.remove(pad)
    used = {name for node in graph.node for name in node.input}
    for item in [item for item in graph.initializer if item.name not in used]:
        graph.initializer.remove(item)


def strip_traces(model: onnx.ModelProto) -> None:
    """Remove what the exporter notes about its source (stack traces, file names), in place."""
    model.doc_string = ""
    del model.metadata_props[:]
    model.graph.doc_string = ""
    del model.graph.metadata_props[:]
    for node in model.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    for value in [*model.graph.value_info, *model.graph.input, *model.graph.output, *model.graph.initializer]:
        value.doc_string = ""
        del value.metadata_props[:]
