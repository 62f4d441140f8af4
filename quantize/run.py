"""One run of ``edge-iqa quantize``: distorted photographs, teacher's targets, float student, int8 student, bundle."""

from __future__ import annotations

import platform
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import fx

import edge_iqa
from edge_iqa.assets import photographs_folder
from edge_iqa.decode import read_image
from edge_iqa.models.memory import keep_freed_memory
from edge_iqa.models.student import STUDENTS
from edge_iqa.models.synthesis import VERSIONS, SyntheticSet, find_photographs, hash_files, synthesize
from edge_iqa.preprocess import PreprocessSpec, preprocess
from edge_iqa.quantize.batches import Normalisation
from edge_iqa.quantize.bounds import bounded
from edge_iqa.quantize.budget import Limit, TargetScores
from edge_iqa.quantize.card import write_card
from edge_iqa.quantize.estimate import EVALUATED, estimated_seconds
from edge_iqa.quantize.float_student import FloatStudent, is_taught, make_float_student
from edge_iqa.quantize.package import Student, float_layers, folded_student, package, shorten_mantissa
from edge_iqa.quantize.precision import meet_budget
from edge_iqa.quantize.qat import rebuilt, train_quantized
from edge_iqa.quantize.recipe import QatStage, Recipe
from edge_iqa.quantize.reporting import Report
from edge_iqa.quantize.stage_scores import stages_of_training
from edge_iqa.quantize.teacher_source import open_teacher

_SMALL_GOLDEN, _LARGE_GOLDEN = (160, 120), (416, 400)  # width, height


@dataclass(frozen=True)
class QuantizeResult:
    """What a run made: the bundle and its size, drift of each target, precision raised for the budget, bars missed."""

    bundle: Path
    size_bytes: int
    drifts: list[TargetScores]
    raised: list[str]
    missed: list[str]


def quantize(
    images: Path,
    teacher_name: str | Path,
    recipe: Recipe,
    recipe_text: str,
    output: Path,
    *,
    weights: Path | None = None,
    budget: Sequence[Limit] = (),
    work: Path | None = None,
    report: Report,
) -> QuantizeResult:
    """Distill the teacher into an int8 student and write its bundle to ``output``.

    ``teacher_name`` is a file from ``train`` or ``import``, or ``module:function`` (picture → score). ``weights`` are
    float weights of the student that it starts from; where the recipe has no distillation, they are quantized as they
    are, and no teacher is asked.
    ``work`` keeps the distorted photographs and the float student, so that a run that was stopped goes on from there.
    """
    keep_freed_memory()
    torch.manual_seed(recipe.seed)
    teacher = open_teacher(teacher_name) if is_taught(recipe, weights) else None
    photographs = find_photographs(images)
    with tempfile.TemporaryDirectory() as temporary:
        folder = work if work is not None else Path(temporary)
        data = synthesize(
            photographs,
            recipe.data,
            folder / "photographs",
            workers=2,
            progress=lambda done, total: report("distorting", done, total, None),
        )
        made_float = make_float_student(recipe, data, teacher, folder, report, weights=weights)
        stored, pixels = stored_student(made_float, recipe, data, work, report)
        stage = recipe.qat_stage
        finer = replace(stage, weight_bits=8)

        def quantized(chosen: QatStage, checkpoint: str) -> Student:
            kept = None if work is None else work / checkpoint
            made_from = f"{made_float.key} {recipe.bound_stage!r}"
            return quantized_student(stored, pixels, data, replace(recipe, qat_stage=chosen), report, kept, made_from)

        met = meet_budget(
            quantized(stage, "qat.checkpoint.safetensors"),
            budget,
            evaluation_tensors(data, recipe.preprocess),
            lambda tried, most: report("exporting and measuring", tried, most, None),
            finer=None if stage == finer else lambda: quantized(finer, "qat-8-bit.checkpoint.safetensors"),
        )
        provenance = {
            **({} if teacher is None else {"teacher": teacher.name, "teacher_sha256": teacher.sha256}),
            "start": recipe.start,
            **({} if weights is None else {"start": weights.name, "start_sha256": hash_files([weights])}),
            "recipe": recipe.name,
            **({"budget": ",".join(map(str, budget))} if budget else {}),
            "seed": recipe.seed,
            **({} if made_float.trained_in is None else {"float_stage_computed_in": made_float.trained_in}),
            "photographs": len(photographs),
            "photographs_sha256": data.data_sha256,
            "pictures": int(np.prod(data.pictures.shape[:2])),
            "versions": {
                "edge-iqa": edge_iqa.__version__,
                "torch": torch.__version__,
                "numpy": np.__version__,
                "opencv": cv2.__version__,
                "python": platform.python_version(),
            },
        }
        card = write_card(recipe, provenance, met.student.weight_bits)
        stages = None
        if recipe.stage_scores:
            report("scoring stages", 0, 1, None)
            stages = stages_of_training(
                recipe.preprocess,
                None if teacher is None else teacher.scorer(),
                stored,
                met.student.prepared,
                pixels.mean,
                pixels.std,
            )
        package(
            met.student,
            output,
            golden=golden_pictures(find_photographs(photographs_folder()), recipe.preprocess),
            card=card,
            recipe=recipe_text,
            provenance=provenance,
            stages=stages,
            models=met.models,
        )
    return QuantizeResult(output, output.stat().st_size, met.drifts, met.raised, met.missed)


def stored_student(
    made: FloatStudent, recipe: Recipe, data: SyntheticSet, work: Path | None, report: Report
) -> tuple[fx.GraphModule, Normalisation]:
    """Return a float student as its bundle holds it, and what it wants of pixels; drift is measured from it.

    It is bounded where the recipe says so, and mantissas are short. ``work`` keeps where training with bounds stands.
    """
    folded, pixels = folded_student(made.network, exact_pixels=recipe.exact_pixels)
    stored = bounded(
        folded,
        pixels,
        data,
        recipe.bound_stage,
        recipe.seed,
        lambda step, total, loss: report("bounding", step, total, loss),
        checkpoint=None if work is None else work / "bounds.checkpoint.safetensors",
        made_from=made.key,
    )
    shorten_mantissa(stored)
    return stored, pixels


def quantized_student(
    stored: fx.GraphModule,
    pixels: Normalisation,
    data: SyntheticSet,
    recipe: Recipe,
    report: Report,
    checkpoint: Path | None = None,
    made_from: str = "",
) -> Student:
    """Return the int8 student of a ``stored_student``, and its twin for TensorRT; ``checkpoint`` as ``distill``'s."""
    signed = rebuilt(
        stored,
        pixels,
        data,
        recipe.qat_stage,
        recipe.seed,
        lambda done, total: report("rebuilding for TensorRT", done, total, None),
        signed=True,
    )
    prepared = train_quantized(
        stored,
        pixels,
        data,
        recipe.qat_stage,
        recipe.seed,
        lambda step, total, loss: report("quantizing", step, total, loss),
        rebuilding=lambda done, total: report("rebuilding", done, total, None),
        checkpoint=checkpoint,
        made_from=made_from,
    )
    return Student(
        recipe.student,
        recipe.student,
        stored,
        prepared,
        signed,
        pixels.mean,
        pixels.std,
        recipe.preprocess,
        recipe.qat_stage.weight_bits,
    )


def golden_pictures(photographs: Sequence[Path], spec: PreprocessSpec) -> list[NDArray[np.uint8]]:
    """Return a few small pictures cut from ``photographs``, of sizes that must be resized.

    The last has the size of the input and is taken as it is, which tests a runtime alone.
    """
    pictures = []
    sizes = [_SMALL_GOLDEN, _LARGE_GOLDEN, (spec.width, spec.height)]
    if spec.shorter_side is not None:  # one that is shrunk
        sizes[1] = (spec.shorter_side * 17 // 16, spec.shorter_side * 33 // 32)
    for index, (width, height) in enumerate(sizes):
        photograph = read_image(photographs[index % len(photographs)])
        scale = max(width / photograph.shape[1], height / photograph.shape[0])
        target = (
            max(width, round(photograph.shape[1] * scale)),
            max(height, round(photograph.shape[0] * scale)),
        )
        small = np.asarray(cv2.resize(photograph, target, interpolation=cv2.INTER_AREA), np.uint8)
        pictures.append(np.ascontiguousarray(small[:height, :width]))
    return pictures


def evaluation_tensors(data: SyntheticSet, spec: PreprocessSpec, count: int = EVALUATED) -> list[NDArray[np.uint8]]:
    """Return ``count`` input tensors spread evenly over the set's pictures."""
    total = int(np.prod(data.pictures.shape[:2]))
    versions = data.pictures.shape[1]
    chosen = np.unique(np.linspace(0, total - 1, min(count, total)).astype(int))
    return [preprocess(np.array(data.pictures[flat // versions, flat % versions]), spec) for flat in chosen]


def plan(recipe: Recipe, photographs: int, weights: Path | None = None) -> dict[str, Any]:
    """Return what a run would do and about how long it would take, without doing it."""
    from edge_iqa.quantize.fake_quantization import QuantConv2d
    from edge_iqa.quantize.prepare import prepare

    student = STUDENTS[recipe.student]().eval()
    prepared = prepare(student, weight_bits=recipe.qat_stage.weight_bits, float_prefixes=recipe.qat_stage.float_layers)
    layers = [module for module in prepared.modules() if isinstance(module, QuantConv2d)]
    seconds = estimated_seconds(recipe, photographs, taught=is_taught(recipe, weights))
    return {
        "student": recipe.student,
        "input": f"{recipe.width}x{recipe.height}",
        "photographs": photographs,
        "pictures": photographs * recipe.data.crops_per_photograph * VERSIONS,
        "float_steps": recipe.float_stage.all_steps,
        "bound_steps": recipe.bound_stage.steps,
        "qat_steps": recipe.qat_stage.steps,
        "int8_layers": len(layers),
        "float_layers": list(float_layers(prepared)),
        "weight_bits": recipe.qat_stage.weight_bits,
        "int8_weight_bytes": sum(layer.weight.numel() for layer in layers),
        "float_weight_bytes": 4 * sum(parameter.numel() for parameter in student.parameters()),
        "estimated_seconds": seconds,
        "estimated_minutes": round(sum(seconds.values()) / 60, 1),
    }
