"""Set integer weights layer by layer, so that each layer gives what it gave before rounding.

The network is walked once, on pictures, twice side by side: in float, and with everything before the present layer
rounded already. Of each convolution the weights are solved for its float output on its rounded input (least squares,
held to the trained weights by a small penalty), so that a layer makes up for the rounding before it. Then they are
rounded one input after another; the inputs that are still to come take over what each leaves (GPTQ: Frantar et al.,
arXiv 2210.17323). The bias brings the mean of every output channel back. As in ``edge_iqa.quantize.ranges``, a picture
counts less if its values reach far. That, solving on the rounded input, and doing so for depthwise convolutions, is
ours.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, fx

from edge_iqa.quantize.fake_quantization import ActivationFakeQuant, QuantConv2d
from edge_iqa.quantize.places import module_at
from edge_iqa.quantize.ranges import picture_weights
from edge_iqa.quantize.reporting import Counted

_Values: TypeAlias = dict[fx.Node, tuple[list[Any], list[Any]]]  # float and rounded, a value for each batch
HELD = 0.1  # to the trained weights, in means of an input's variances
DAMPING = 0.01  # of rounding in turn, in the same
_LEAST_VARIANCE = 1e-10
_BLOCK = 128  # inputs whose errors are handed on together: the same numbers, fewer passes over memory


@dataclass(frozen=True)
class _Moments:
    """What weighted least squares needs of inputs ``(G, I)`` and outputs ``(G, O)`` of a convolution in G groups."""

    input_mean: Tensor
    output_mean: Tensor
    covariance: Tensor  # (G, I, I)
    cross: Tensor  # (G, O, I)

    def damped(self, part: float) -> Tensor:
        """The covariance with ``part`` of its ``spread`` added to its diagonal."""
        return self.covariance + torch.diag_embed((part * self.spread).expand(self.input_mean.shape))

    @property
    def spread(self) -> Tensor:
        """The mean of the inputs' variances ``(G, 1)``."""
        return self.covariance.diagonal(dim1=1, dim2=2).mean(1, keepdim=True).clamp(min=_LEAST_VARIANCE)


@torch.no_grad()
def reconstruct(prepared: fx.GraphModule, pictures: Sequence[Tensor], progress: Counted = lambda *_: None) -> None:
    """Set every weight and bias of a network from ``prepare`` whose ranges are set, in place.

    ``pictures`` are normalised ``(N, 3, H, W)`` batches; the maps of all of them between two layers are held at a time.
    """
    modules = dict(prepared.named_modules())
    nodes = [node for node in prepared.graph.nodes if node.op != "output"]
    last_reader = {source: node for node in nodes for source in node.all_input_nodes}
    values: _Values = {}
    for done, node in enumerate(nodes, 1):
        module = module_at(modules, node)
        if node.op == "placeholder":
            values[node] = (list(pictures), list(pictures))
            progress(done, len(nodes))
            continue
        spent = [source for source in node.all_input_nodes if last_reader[source] is node]
        wanted = [_run(prepared, node, values, 0, batch, spent) for batch in range(len(pictures))]
        if isinstance(module, QuantConv2d):
            _solve(module, _moments(module, values[node.all_input_nodes[0]][1], wanted))
        values[node] = (wanted, [_run(prepared, node, values, 1, batch, spent) for batch in range(len(pictures))])
        for source in spent:
            del values[source]
        progress(done, len(nodes))


def _run(
    network: fx.GraphModule, node: fx.Node, values: _Values, kind: int, batch: int, spent: Sequence[fx.Node]
) -> Any:
    """Return what ``node`` gives on a batch, and let go of what none but it reads: maps of many pictures are large.

    In float (``kind`` 0) weights are as they are and rounding passes everything on.
    """
    inputs: Any = fx.node.map_arg((node.args, node.kwargs), lambda source: values[source][kind][batch])
    args, kwargs = inputs
    for source in spent:
        values[source][kind][batch] = None
    if node.op == "call_module":
        module = network.get_submodule(str(node.target))
        if kind == 0 and isinstance(module, ActivationFakeQuant):
            return args[0]
        return module.unrounded(args[0]) if kind == 0 and isinstance(module, QuantConv2d) else module(*args, **kwargs)
    if node.op == "call_function":
        assert callable(node.target)
        return node.target(*args, **kwargs)
    if node.op == "call_method":
        return getattr(args[0], str(node.target))(*args[1:], **kwargs)
    return getattr(network, str(node.target))


def _moments(conv: QuantConv2d, inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> _Moments:
    whole = 0.0
    sums = [torch.zeros((), dtype=torch.float64)] * 4
    for seen, wanted, weight in _columns(conv, inputs, outputs):
        weighted = seen * weight
        parts = [weighted.sum(-1), (wanted * weight).sum(-1), seen @ weighted.mT, wanted @ weighted.mT]
        sums = [total + part.double() for total, part in zip(sums, parts, strict=True)]
        whole += float(weight.sum())
    seen_mean, wanted_mean, square, cross = (total / whole for total in sums)
    return _Moments(
        seen_mean,
        wanted_mean,
        square - seen_mean[:, :, None] * seen_mean[:, None],
        cross - wanted_mean[:, :, None] * seen_mean[:, None],
    )


def _columns(
    conv: QuantConv2d, inputs: Sequence[Tensor], outputs: Sequence[Tensor]
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Yield, a batch at a time, what each position's product is made of ``(G, I, P)`` and should give ``(G, O, P)``.

    The third is what each position counts ``(P,)``: less in a picture whose outputs reach far.
    """
    for x, wanted, weight in zip(inputs, outputs, picture_weights(outputs), strict=True):
        seen = F.unfold(conv.padded(x), conv.kernel_size, conv.dilation, tuple(map(int, conv.padding)), conv.stride)
        yield _by_group(conv, seen), _by_group(conv, wanted.flatten(2)), weight.repeat_interleave(seen.shape[2])


def _by_group(conv: QuantConv2d, columns: Tensor) -> Tensor:
    """Turn ``(N, G * I, P)`` into ``(G, I, N * P)``."""
    return torch.unflatten(columns, 1, (conv.groups, -1)).permute(1, 2, 0, 3).flatten(2)


def _solve(conv: QuantConv2d, moments: _Moments) -> None:
    """Put the solved weights, rounded and not, and the biases that belong to them into ``conv``."""
    trained = conv.weight.double().view(*moments.cross.shape)
    held = HELD * moments.spread
    solved = torch.linalg.solve(moments.damped(HELD), (moments.cross + held[:, :, None] * trained).mT).mT
    conv.weight_scale.copy_(conv.scale_of(solved.reshape(conv.weight.shape)))
    rounded = _round_in_turn(
        solved, moments.damped(DAMPING), conv.weight_scale.double().view(*solved.shape[:2]), conv.weight_max
    )
    assert conv.bias is not None
    conv.weight.copy_(rounded.view(conv.weight.shape))
    rounded = (conv.integer_weight() * conv.weight_scale.double().view(-1, 1, 1, 1)).view(solved.shape)
    for weight, bias, found in ((conv.weight, conv.bias, rounded), (conv.float_weight, conv.float_bias, solved)):
        weight.copy_(found.view(conv.weight.shape))
        bias.copy_((moments.output_mean - (found @ moments.input_mean[:, :, None]).squeeze(2)).flatten())


def _round_in_turn(weight: Tensor, covariance: Tensor, scale: Tensor, most: int) -> Tensor:
    """Round ``weight`` ``(G, O, I)`` onto ``scale`` ``(G, O)``, the inputs that vary most first, as GPTQ does."""
    order = covariance.diagonal(dim1=1, dim2=2).argsort(dim=1, descending=True)
    rows, columns = order[:, :, None].expand_as(covariance), order[:, None].expand_as(covariance)
    sorted_covariance = covariance.gather(1, rows).gather(2, columns)
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(sorted_covariance))
    factor = torch.linalg.cholesky(inverse, upper=True)
    left = weight.gather(2, order[:, None].expand_as(weight))
    result = torch.empty_like(left)
    errors = torch.empty_like(left)
    for first in range(0, left.shape[2], _BLOCK):
        end = min(first + _BLOCK, left.shape[2])
        for place in range(first, end):
            steps = torch.clamp(torch.round(left[:, :, place] / scale), -most, most)
            result[:, :, place] = steps * scale
            errors[:, :, place] = (left[:, :, place] - result[:, :, place]) / factor[:, place, place, None]
            left[:, :, place + 1 : end] -= errors[:, :, place, None] * factor[:, place, None, place + 1 : end]
        left[:, :, end:] -= errors[:, :, first:end] @ factor[:, first:end, end:]
    return result.gather(2, order.argsort(dim=1)[:, None].expand_as(weight))
