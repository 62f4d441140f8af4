"""The training methods by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from edge_iqa.errors import InvalidInput
from edge_iqa.models.methods.base import TrainingMethod
from edge_iqa.models.methods.grepq import GrepqMethod, GrepqObjective
from edge_iqa.models.methods.hirqa import HirqaMethod, HirqaObjective
from edge_iqa.models.methods.qualiclip import QualiclipMethod, QualiclipObjective
from edge_iqa.models.methods.rankiqa import RankiqaMethod, RankiqaObjective
from edge_iqa.models.methods.sfd_iqa import SfdIqaMethod, SfdIqaObjective
from edge_iqa.models.training_recipe import TrainingRecipe
from edge_iqa.models.trunks import BACKBONES
from edge_iqa.spec import from_document


@dataclass(frozen=True)
class MethodEntry:
    """A method: how it is made, the dataclass of its objective, and the backbones it takes (empty: CLIP's only)."""

    build: Callable[[TrainingRecipe, Any], TrainingMethod]
    objective: type[Any]
    backbones: tuple[str, ...]


METHODS: dict[str, MethodEntry] = {
    "hirqa": MethodEntry(HirqaMethod, HirqaObjective, BACKBONES),
    "rankiqa": MethodEntry(RankiqaMethod, RankiqaObjective, BACKBONES),
    "grepq": MethodEntry(GrepqMethod, GrepqObjective, BACKBONES),
    "qualiclip": MethodEntry(QualiclipMethod, QualiclipObjective, ()),
    "sfd-iqa": MethodEntry(SfdIqaMethod, SfdIqaObjective, ()),
}
"""Every method by name."""


def make_method(recipe: TrainingRecipe) -> TrainingMethod:
    """Return the method of a recipe, ready to train.

    Raises InvalidInput for an unknown method, backbone or setting, and what its weights raise where they are missing.
    """
    if recipe.method not in METHODS:
        raise InvalidInput(f"There is no method {recipe.method!r}", fix=f"one of: {', '.join(METHODS)}")
    entry = METHODS[recipe.method]
    if entry.backbones and recipe.backbone not in entry.backbones:
        raise InvalidInput(
            f"The method {recipe.method} has no backbone {recipe.backbone!r}",
            fix=f"one of: {', '.join(entry.backbones)}",
        )
    if not entry.backbones and recipe.backbone:
        raise InvalidInput(
            f"The method {recipe.method} takes no backbone",
            why="its network is the image encoder of the image-text model",
            fix='name the model: clip = "open_clip:RN50:/path/to/weights"',
        )
    objective = from_document(entry.objective, recipe.objective, "objective")
    return entry.build(recipe, objective)
