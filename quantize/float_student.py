"""The float student of a run: where it starts, what the teacher makes of it, kept on disk for the next run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from edge_iqa.errors import InvalidInput
from edge_iqa.models.checkpoint import load_network
from edge_iqa.models.hirqa import HiRQA
from edge_iqa.models.lite import HirqaSLite
from edge_iqa.models.student import STUDENTS, StudentNetwork
from edge_iqa.models.synthesis import SyntheticSet, hash_files
from edge_iqa.models.teacher import TeacherSpec, learnt_from
from edge_iqa.quantize.distill import TeacherTargets, distill, trained_in
from edge_iqa.quantize.head import from_imagenet, solve_head
from edge_iqa.quantize.recipe import IMAGENET, RANDOM, SHIPPED, Recipe
from edge_iqa.quantize.reporting import Report
from edge_iqa.quantize.stagewise import StagedTeacher, distill_stagewise
from edge_iqa.quantize.teacher_pass import collect_targets
from edge_iqa.quantize.teacher_source import TeacherSource
from edge_iqa.quantize.varied_crops import VariedCrops

_FILE = "float.safetensors"


@dataclass(frozen=True)
class FloatStudent:
    """A float student in evaluation mode, and the key of everything that it was made from.

    ``trained_in`` is what its training computed in, ``float32`` or ``bfloat16``, or None where it was not trained.
    """

    network: StudentNetwork
    key: str
    trained_in: str | None = None


def is_taught(recipe: Recipe, weights: Path | None) -> bool:
    """Tell whether a run asks the teacher: where the student is distilled, or its head is solved."""
    return recipe.float_stage.steps > 0 or (recipe.start == IMAGENET and weights is None)


def make_float_student(
    recipe: Recipe,
    data: SyntheticSet,
    teacher: TeacherSource | None,
    folder: Path,
    report: Report,
    *,
    weights: Path | None = None,
) -> FloatStudent:
    """Return the student that ``recipe`` makes, from ``folder`` if the same run made it there before.

    ``weights`` is what it starts from, in place of the recipe's start; ``teacher`` may be None where none is asked
    (``is_taught``).
    """
    start = recipe.start if weights is None else f"{weights.name} {hash_files([weights])}"
    taught_by = None if teacher is None else teacher.sha256
    key = f"{taught_by} {start} {recipe.float_stage!r} {recipe.seed} {data.spec!r} {data.data_sha256}"
    path = folder / _FILE
    if path.exists() and _known(path).get("made_from") == key:
        return kept_student(folder, recipe.student)

    def solving(done: int, total: int) -> None:
        report("solving the head", done, total, None)

    stage = recipe.float_stage
    if stage.staged_steps and not (teacher and isinstance(teacher.network, StagedTeacher)):
        raise InvalidInput(
            f"The recipe {recipe.name} needs a teacher that tells what it sees at each stage",
            why="its float_stage has staged_steps",
            fix="take a teacher from 'edge-iqa train', or a recipe without staged_steps",
        )
    by_stored_answers = stage.steps > 0 and not stage.staged_steps
    learnt = learnt_from(data, TeacherSpec())
    targets: TeacherTargets | None = None
    if teacher is not None:
        targets = collect_targets(
            teacher,
            data,
            folder / "teacher",
            f"{teacher.sha256} {data.spec!r} {data.data_sha256}",
            lambda done, total: report("asking the teacher", done, total, None),
            asked=None if by_stored_answers else learnt,
            with_maps=by_stored_answers,
        )
    torch.manual_seed(recipe.seed)
    if weights is None and recipe.start == IMAGENET:
        assert targets is not None
        network: StudentNetwork = from_imagenet(data, targets.logits, learnt, solving)
    else:
        network = _started(recipe, weights)
    if stage.steps:
        assert teacher is not None
        assert targets is not None

        def distilling(step: int, total: int, loss: float) -> None:
            report("distilling", step, total, loss)

        checkpoint = folder / "float.checkpoint.safetensors"
        if stage.staged_steps:
            assert isinstance(network, HiRQA)
            assert isinstance(teacher.network, StagedTeacher)
            crops = VariedCrops(data, learnt, recipe.seed)
            distill_stagewise(
                network,
                teacher.network,
                crops,
                stage,
                recipe.seed,
                distilling,
                checkpoint=checkpoint,
                made_from=key,
            )
        else:
            distill(
                network,
                data,
                targets,
                stage,
                recipe.seed,
                distilling,
                pretrained=weights is not None or recipe.start != RANDOM,
                checkpoint=checkpoint,
                made_from=key,
            )
        if weights is None and recipe.start in (IMAGENET, RANDOM):
            solve_head(network, data, targets.logits, learnt, solving)
    made = FloatStudent(network.eval(), key, trained_in(stage) if stage.steps else None)
    _write_cache(path, made)
    return made


def _started(recipe: Recipe, weights: Path | None) -> StudentNetwork:
    student = STUDENTS[recipe.student]()
    if weights is not None:
        found, name, _ = load_network(weights)
        if name != recipe.student:
            raise InvalidInput(
                f"{weights.name} holds {name}, not the student {recipe.student}",
                fix="give a checkpoint of the student's own network, or make it the teacher",
            )
        student.load_state_dict(found.state_dict())
    elif recipe.start == SHIPPED:
        assert isinstance(student, HirqaSLite)
        student.load_shipped()
    elif recipe.start != RANDOM:
        raise InvalidInput(
            f"The recipe {recipe.name} needs float weights to start from",
            fix="give --weights FILE, a .safetensors from 'edge-iqa import', or take a recipe that trains from random",
        )
    return student.eval()


def kept_student(folder: Path, student: str) -> FloatStudent:
    """Return the float student that a run kept in ``folder``, its ``--work``."""
    path = folder / _FILE
    network = STUDENTS[student]()
    network.load_state_dict(load_file(path))
    known = _known(path)
    return FloatStudent(network.eval(), known.get("made_from", ""), known.get("trained_in"))


def _known(path: Path) -> dict[str, str]:
    with safe_open(path, framework="pt") as stored:
        return stored.metadata() or {}


def _write_cache(path: Path, made: FloatStudent) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {name: value.contiguous() for name, value in made.network.state_dict().items()}
    known = {"made_from": made.key, **({} if made.trained_in is None else {"trained_in": made.trained_in})}
    save_file(tensors, path, metadata=known)
