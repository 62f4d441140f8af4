"""One run of ``edge-iqa quantize``: distorted photographs, teacher's targets, float student, int8 student, bundle."""

from __future__ import annotations

import platform
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.torch import save_file

import edge_iqa
from edge_iqa.assets import photographs_folder
from edge_iqa.decode import read_image
from edge_iqa.models.lite import HirqaSLite
from edge_iqa.models.memory import keep_freed_memory
from edge_iqa.models.synthesis import VERSIONS, SyntheticSet, find_photographs, synthesize
from edge_iqa.models.teacher import TeacherSpec, learnt_from
from edge_iqa.preprocess import PreprocessSpec, preprocess
from edge_iqa.quantize.budget import Limit, TargetScores
from edge_iqa.quantize.card import write_card
from edge_iqa.quantize.distill import TeacherTargets, distill
from edge_iqa.quantize.head import from_imagenet, solve_head
from edge_iqa.quantize.package import Student, float_layers, package, shorten_mantissa
from edge_iqa.quantize.precision import meet_budget
from edge_iqa.quantize.prepare import fold_batch_norm
from edge_iqa.quantize.qat import rebuilt, train_quantized
from edge_iqa.quantize.recipe import IMAGENET, SHIPPED, Recipe
from edge_iqa.quantize.stage_scores import stages_of_training
from edge_iqa.quantize.teacher_pass import collect_targets
from edge_iqa.quantize.teacher_source import TeacherSource, open_teacher

STUDENT = "hirqa-s-lite"
# stage, steps done, steps in all, loss or None
Report = Callable[[str, int, int, float | None], None]
# width, height: enlarged, shrunk, and one that is taken as it is, which tests a runtime alone
_GOLDEN_SIZES = ((160, 120), (416, 400), (384, 384))


@dataclass(frozen=True)
class QuantizeResult:
    """What a run made: the bundle's path and size, the drift of each target, layers kept float and bars missed."""

    bundle: Path
    size_bytes: int
    drifts: list[TargetScores]
    kept_float: list[str]
    missed: list[str]


def quantize(
    images: Path,
    teacher_name: str | Path,
    recipe: Recipe,
    recipe_text: str,
    output: Path,
    *,
    budget: Sequence[Limit] = (),
    work: Path | None = None,
    report: Report,
) -> QuantizeResult:
    """Distill the teacher into an int8 student and write its bundle to ``output``.

    ``teacher_name`` is a file from ``train`` or ``import``, or ``module:function`` (picture → score).
    ``work`` keeps the distorted photographs and the float student, so that a run that was stopped goes on from there.
    """
    keep_freed_memory()
    torch.manual_seed(recipe.seed)
    teacher = open_teacher(teacher_name)
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
        targets = collect_targets(
            teacher,
            data,
            folder / "teacher",
            f"{teacher.sha256} {data.spec!r} {data.data_sha256}",
            lambda done, total: report("asking the teacher", done, total, None),
            asked=None if recipe.float_stage.steps else learnt_from(data, TeacherSpec()),
        )
        student = _float_student(data, targets, recipe, folder / "float.safetensors", teacher, report)
        stored = fold_batch_norm(student)
        shorten_mantissa(stored)
        signed = rebuilt(
            stored,
            data,
            recipe.qat_stage,
            recipe.seed,
            lambda done, total: report("rebuilding for TensorRT", done, total, None),
            signed=True,
        )
        prepared = train_quantized(
            stored,
            data,
            recipe.qat_stage,
            recipe.seed,
            lambda step, total, loss: report("quantizing", step, total, loss),
            rebuilding=lambda done, total: report("rebuilding", done, total, None),
            checkpoint=None if work is None else folder / "qat.checkpoint.safetensors",
            made_from=f"{teacher.sha256} {recipe.float_stage!r}",
        )
        spec = PreprocessSpec(recipe.height, recipe.width)
        bits = recipe.qat_stage.weight_bits
        made = Student(STUDENT, STUDENT, stored, prepared, signed, student.mean, student.std, spec, bits)
        met = meet_budget(
            made,
            budget,
            evaluation_tensors(data, spec),
            lambda kept, most: report("exporting and measuring", kept, most + 1, None),
        )
        provenance = {
            "teacher": teacher.name,
            "teacher_sha256": teacher.sha256,
            "recipe": recipe.name,
            "seed": recipe.seed,
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
        card = write_card(STUDENT, recipe, provenance)
        stages = None
        if recipe.stage_scores:
            report("scoring stages", 0, 1, None)
            fake_quant = met.student.prepared
            stages = stages_of_training(spec, teacher.scorer(), stored, fake_quant, student.mean, student.std)
        package(
            met.student,
            output,
            golden=golden_pictures(find_photographs(photographs_folder())),
            card=card,
            recipe=recipe_text,
            provenance=provenance,
            stages=stages,
            models=met.models,
        )
    return QuantizeResult(output, output.stat().st_size, met.drifts, met.kept_float, met.missed)


def _read_cache(path: Path, key: str) -> dict[str, torch.Tensor] | None:
    if not path.exists():
        return None
    with safe_open(path, framework="pt") as stored:
        if (stored.metadata() or {}).get("made_from") != key:
            return None
        return {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118 (not a mapping)


def _write_cache(path: Path, key: str, tensors: dict[str, torch.Tensor]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: value.contiguous() for name, value in tensors.items()}, path, metadata={"made_from": key})


def _float_student(
    data: SyntheticSet,
    targets: TeacherTargets,
    recipe: Recipe,
    path: Path,
    teacher: TeacherSource,
    report: Report,
) -> HirqaSLite:
    stage = f"{recipe.start} {recipe.float_stage!r} {recipe.seed}"
    key = f"{teacher.sha256} {stage} {data.spec!r} {data.data_sha256}"
    stored = _read_cache(path, key)
    if stored is not None:
        student = HirqaSLite().eval()
        student.load_state_dict(stored)
        return student

    def solving(done: int, total: int) -> None:
        report("solving the head", done, total, None)

    if recipe.start == SHIPPED:
        student = HirqaSLite().eval()
        student.load_shipped()
    else:
        student = from_imagenet(data, targets.logits, learnt_from(data, TeacherSpec()), solving)
    if recipe.float_stage.steps:
        distill(
            student,
            data,
            targets,
            recipe.float_stage,
            recipe.seed,
            lambda step, total, loss: report("distilling", step, total, loss),
            checkpoint=path.with_name("float.checkpoint.safetensors"),
            made_from=key,
        )
    if recipe.float_stage.steps and recipe.start == IMAGENET:
        solve_head(student, data, targets.logits, learnt_from(data, TeacherSpec()), solving)
    _write_cache(path, key, student.state_dict())
    return student


def golden_pictures(photographs: Sequence[Path]) -> list[NDArray[np.uint8]]:
    """Return a few small pictures cut from ``photographs``, of sizes that must be enlarged and shrunk."""
    pictures = []
    for index, (width, height) in enumerate(_GOLDEN_SIZES):
        photograph = read_image(photographs[index % len(photographs)])
        scale = max(width / photograph.shape[1], height / photograph.shape[0])
        target = (
            max(width, round(photograph.shape[1] * scale)),
            max(height, round(photograph.shape[0] * scale)),
        )
        small = np.asarray(cv2.resize(photograph, target, interpolation=cv2.INTER_AREA), np.uint8)
        pictures.append(np.ascontiguousarray(small[:height, :width]))
    return pictures


def evaluation_tensors(data: SyntheticSet, spec: PreprocessSpec, count: int = 240) -> list[NDArray[np.uint8]]:
    """Return ``count`` input tensors spread evenly over the set's pictures."""
    total = int(np.prod(data.pictures.shape[:2]))
    versions = data.pictures.shape[1]
    chosen = np.unique(np.linspace(0, total - 1, min(count, total)).astype(int))
    return [preprocess(np.array(data.pictures[flat // versions, flat % versions]), spec) for flat in chosen]


def plan(recipe: Recipe, photographs: int) -> dict[str, Any]:
    """Return what a run would do, without doing it."""
    from edge_iqa.quantize.fake_quantization import QuantConv2d
    from edge_iqa.quantize.prepare import prepare

    student = HirqaSLite().eval()
    prepared = prepare(student, weight_bits=recipe.qat_stage.weight_bits, float_prefixes=recipe.qat_stage.float_layers)
    layers = [module for module in prepared.modules() if isinstance(module, QuantConv2d)]
    weights = sum(layer.weight.numel() for layer in layers)
    return {
        "student": STUDENT,
        "input": f"{recipe.width}x{recipe.height}",
        "photographs": photographs,
        "pictures": photographs * recipe.data.crops_per_photograph * VERSIONS,
        "float_steps": recipe.float_stage.steps,
        "qat_steps": recipe.qat_stage.steps,
        "int8_layers": len(layers),
        "float_layers": list(float_layers(prepared)),
        "weight_bits": recipe.qat_stage.weight_bits,
        "int8_weight_bytes": weights,
        "float_weight_bytes": 4 * sum(parameter.numel() for parameter in student.parameters()),
    }
