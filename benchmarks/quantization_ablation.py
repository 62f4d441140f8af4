"""What each part of quantization is worth: one float student, quantized in several ways, one part changed at a time.

    python -m edge_iqa.benchmarks.quantization_ablation WORK [--untrained] > table.md

WORK is the folder that ``quantize --recipe full --work WORK`` kept: its pictures and its float student are used. The
differences from the float student are those of fake quantization in PyTorch, which the runtimes reproduce.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import fx, nn

from edge_iqa.benchmarks.drift import compare_scores
from edge_iqa.models.memory import keep_freed_memory
from edge_iqa.models.synthesis import SyntheticSet, load_set
from edge_iqa.progress import track
from edge_iqa.quantize.batches import Normalisation
from edge_iqa.quantize.float_student import kept_student
from edge_iqa.quantize.qat import rebuilt, train_quantized
from edge_iqa.quantize.recipe import QatStage, read_recipe
from edge_iqa.quantize.run import evaluation_tensors, stored_student

THRESHOLD = 0.5
# float student, what it wants of pixels, pictures, seed → fake-quantized student
Quantize = Callable[[nn.Module, Normalisation, SyntheticSet, int], fx.GraphModule]


@dataclass(frozen=True)
class Variant:
    """One row: a name, how the float student is quantized, and whether that takes training."""

    name: str
    quantize: Quantize
    trains: bool = False


def variants(spec: QatStage) -> Iterator[Variant]:
    """Yield the rows; the first is ``spec`` as it stands, the others change one part of it."""

    def trained(changed: QatStage) -> Quantize:
        return lambda student, pixels, data, seed: train_quantized(
            student, pixels, data, changed, seed, lambda *_: None
        )

    def alone(changed: QatStage, *, signed: bool = False) -> Quantize:
        return lambda student, pixels, data, seed: rebuilt(
            student, pixels, data, changed, seed, lambda *_: None, signed=signed
        )

    few = max(8, spec.pictures // 4)
    yield Variant(f"{spec.weight_bits}-bit weights, rebuilt, then trained", trained(spec), trains=True)
    yield Variant("training without the features' term", trained(replace(spec, feature_weight=0.0)), trains=True)
    yield Variant("rebuilt, not trained", alone(spec))
    yield Variant(
        f"rebuilt on {few} pictures instead of {spec.pictures}, not trained", alone(replace(spec, pictures=few))
    )
    yield Variant("spare channels left as they are, rebuilt, not trained", alone(replace(spec, spare_channels=False)))
    yield Variant("channels not equalized, rebuilt, not trained", alone(replace(spec, equalize=False)))
    yield Variant("steps as they are found, rebuilt, not trained", alone(replace(spec, exact_steps=False)))
    other = 7 if spec.weight_bits == 8 else 8
    yield Variant(f"{other}-bit weights, rebuilt, not trained", alone(replace(spec, weight_bits=other)))
    yield Variant("127 levels after a ReLU (TensorRT's), rebuilt, not trained", alone(spec, signed=True))
    yield Variant("weights rounded to the nearest, neither rebuilt nor trained", alone(replace(spec, rebuild=False)))


@torch.no_grad()
def scores(network: nn.Module, pixels: Normalisation, tensors: Sequence[NDArray[np.uint8]]) -> NDArray[np.float64]:
    """Return the scores ``(N,)`` of input tensors ``(1, H, W, 3)`` uint8."""
    return np.array([float(network(pixels(torch.from_numpy(tensor)))) for tensor in tensors])


def row(name: str, reference: NDArray[np.float64], found: NDArray[np.float64]) -> str:
    """Return a line of the table: SROCC, mean and largest difference, and flips at ``THRESHOLD``."""
    drift = compare_scores("float student", reference, found, THRESHOLD)
    return f"| {name} | {drift.srcc or math.nan:.5f} | {drift.mae:.4f} | {drift.max_abs:.4f} | {drift.flips} |"


def main() -> None:
    parser = argparse.ArgumentParser(description="Print the ablation of quantization as Markdown.")
    parser.add_argument("work", type=Path)
    parser.add_argument("--recipe", default="full")
    parser.add_argument("--pictures", type=int, default=240)
    parser.add_argument("--untrained", action="store_true", help="leave out the rows that take training, the longest")
    options = parser.parse_args()
    keep_freed_memory()
    recipe, _ = read_recipe(options.recipe)
    data = load_set(options.work / "photographs")
    made = kept_student(options.work, recipe.student)
    student, pixels = stored_student(made, recipe, data, options.work, lambda *_: None)
    tensors = evaluation_tensors(data, recipe.preprocess, options.pictures)
    reference = scores(student, pixels, tensors)
    print(f"| quantization | SROCC | mean | max | flips at {THRESHOLD} |")
    print("| --- | --- | --- | --- | --- |")
    chosen = [variant for variant in variants(recipe.qat_stage) if not (options.untrained and variant.trains)]
    for variant in track(chosen, "ways"):
        prepared = variant.quantize(student, pixels, data, recipe.seed)
        print(row(variant.name, reference, scores(prepared, pixels, tensors)), flush=True)


if __name__ == "__main__":
    main()
