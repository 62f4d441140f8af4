"""What each part of quantization is worth: one float student, quantized in several ways, one part changed at a time.

    python -m edge_iqa.benchmarks.quantization_ablation WORK > table.md

WORK is the folder that ``quantize --recipe full --work WORK`` kept: its pictures and its float student are used. The
differences from the float student are those of fake quantization in PyTorch, which the runtimes reproduce.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import fx, nn

from edge_iqa.benchmarks.stats_correlation import srocc
from edge_iqa.models.lite import HirqaSLite
from edge_iqa.models.memory import keep_freed_memory
from edge_iqa.models.synthesis import SyntheticSet, load_set
from edge_iqa.models.teacher import normalised
from edge_iqa.preprocess import PreprocessSpec
from edge_iqa.progress import track
from edge_iqa.quantize.fake_quantization import QuantConv2d
from edge_iqa.quantize.package import shorten_mantissa
from edge_iqa.quantize.prepare import fold_batch_norm
from edge_iqa.quantize.qat import rebuilt, train_quantized
from edge_iqa.quantize.recipe import QatStage, read_recipe
from edge_iqa.quantize.run import evaluation_tensors


@dataclass(frozen=True)
class Variant:
    """One row: a name, and how the float student is quantized."""

    name: str
    quantize: Callable[[nn.Module, SyntheticSet, int], fx.GraphModule]


def variants(spec: QatStage) -> Iterator[Variant]:
    """Yield the rows; the first is ``spec`` as it stands, the others change one part of it."""

    def trained(changed: QatStage) -> Callable[[nn.Module, SyntheticSet, int], fx.GraphModule]:
        return lambda student, data, seed: train_quantized(student, data, changed, seed, lambda *_: None)

    def alone(changed: QatStage, *, signed: bool = False) -> Callable[[nn.Module, SyntheticSet, int], fx.GraphModule]:
        return lambda student, data, seed: rebuilt(student, data, changed, seed, lambda *_: None, signed=signed)

    few = max(8, spec.pictures // 4)
    yield Variant(f"{spec.weight_bits}-bit weights, rebuilt, then trained", trained(spec))
    yield Variant("training without the features' term", trained(replace(spec, feature_weight=0.0)))
    yield Variant("rebuilt, not trained", alone(spec))
    yield Variant(
        f"rebuilt on {few} pictures instead of {spec.pictures}, not trained", alone(replace(spec, pictures=few))
    )
    yield Variant("8-bit weights, rebuilt, not trained", alone(replace(spec, weight_bits=8)))
    yield Variant("127 levels after a ReLU (TensorRT's), rebuilt, not trained", alone(spec, signed=True))
    yield Variant("weights rounded to the nearest, neither rebuilt nor trained", _nearest(spec))


def _nearest(spec: QatStage) -> Callable[[nn.Module, SyntheticSet, int], fx.GraphModule]:
    def quantize(student: nn.Module, data: SyntheticSet, seed: int) -> fx.GraphModule:
        prepared = rebuilt(student, data, spec, seed, lambda *_: None)  # its ranges are kept
        for name, layer in prepared.named_modules():
            if isinstance(layer, QuantConv2d):
                own = student.get_submodule(name)
                layer.load_state_dict({**layer.state_dict(), **own.state_dict()})
                layer.weight_scale.copy_(layer.scale_of(layer.weight))
        return prepared

    return quantize


@torch.no_grad()
def scores(network: nn.Module, tensors: Sequence[NDArray[np.uint8]]) -> NDArray[np.float64]:
    """Return the scores ``(N,)`` of input tensors ``(1, H, W, 3)`` uint8."""
    pixels = (normalised(torch.from_numpy(tensor), HirqaSLite.mean, HirqaSLite.std) for tensor in tensors)
    return np.array([float(network(one)) for one in pixels])


def row(name: str, reference: NDArray[np.float64], found: NDArray[np.float64]) -> str:
    """Return a line of the table: SROCC, mean, 95th percentile and largest difference."""
    difference = np.abs(found - reference)
    figures = (difference.mean(), np.quantile(difference, 0.95), difference.max())
    return f"| {name} | {srocc(found, reference):.5f} | " + " | ".join(f"{figure:.4f}" for figure in figures) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description="Print the ablation of quantization as Markdown.")
    parser.add_argument("work", type=Path)
    parser.add_argument("--recipe", default="full")
    parser.add_argument("--pictures", type=int, default=240)
    options = parser.parse_args()
    keep_freed_memory()
    recipe, _ = read_recipe(options.recipe)
    data = load_set(options.work / "photographs")
    float_student = HirqaSLite().eval()
    float_student.load_state_dict(load_file(options.work / "float.safetensors"))
    student = fold_batch_norm(float_student)
    shorten_mantissa(student)
    tensors = evaluation_tensors(data, PreprocessSpec(recipe.height, recipe.width), options.pictures)
    reference = scores(student, tensors)
    print("| quantization | SROCC | mean | 95 % | max |")
    print("| --- | --- | --- | --- | --- |")
    for variant in track(list(variants(recipe.qat_stage)), "ways"):
        prepared = variant.quantize(student, data, recipe.seed)
        print(row(variant.name, reference, scores(prepared, tensors)), flush=True)


if __name__ == "__main__":
    main()
