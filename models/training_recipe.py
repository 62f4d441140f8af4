"""Recipes of ``edge-iqa train``: everything that decides what a training run makes, read from TOML."""

from __future__ import annotations

import dataclasses
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge_iqa.errors import InvalidInput
from edge_iqa.models.degradations import GROUPS
from edge_iqa.models.fr import FR_METRICS
from edge_iqa.spec import from_document

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SCHEMA_VERSION = 1
PRECISIONS = ("auto", "32-true", "bf16-mixed", "16-mixed")
_FOLDER = Path(__file__).parent / "recipes"


@dataclass(frozen=True)
class DataSpec:
    """What is made of every photograph, before training and once.

    Of each of ``crops_per_photograph`` crops (``crop_size`` pixels): the crop itself, ``chains`` series of rising
    ``levels``, each one degradation or up to ``steps_per_chain`` in a row, and ``compositions`` mixtures without an
    order. ``groups`` limits the degradations (empty: all). ``metrics`` are stored against the undistorted crop;
    ``similarity`` (empty: none) between all versions of a crop.
    """

    crop_size: int = 288
    crops_per_photograph: int = 1
    chains: int = 4
    steps_per_chain: int = 1
    levels: tuple[int, ...] = (1, 2, 3, 4, 5)
    compositions: int = 0
    groups: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    similarity: str = ""

    @property
    def versions(self) -> int:
        """Pictures of one crop, the undistorted one among them."""
        return 1 + self.chains * len(self.levels) + self.compositions


@dataclass(frozen=True)
class HeldOutSpec:
    """The photographs that are not trained on: their share (by file) and the series made of them."""

    share: float = 0.1
    chains: int = 4
    levels: tuple[int, ...] = (1, 3, 5)
    groups: tuple[str, ...] = ()


@dataclass(frozen=True)
class LoopSpec:
    """How it is trained: ``steps`` of ``contents`` crops with all their versions, windows of ``window`` pixels.

    ``learning_rate`` is that of pretrained parts, ``head_learning_rate`` of new ones; both rise over
    ``warm_up_share`` of the steps and fall as a cosine. ``loader_workers`` processes read ahead.
    """

    steps: int
    contents: int = 4
    window: int = 224
    learning_rate: float = 1e-4
    head_learning_rate: float = 1e-3
    weight_decay: float = 0.01
    warm_up_share: float = 0.05
    clip_norm: float = 5.0
    look_every: int = 200
    checkpoint_every: int = 200
    loader_workers: int = 0
    precision: str = "auto"


@dataclass(frozen=True)
class TrainingRecipe:
    """One run: the method, its backbone and weights, its data, its loop and the settings of its objective.

    ``weights`` is a file that a ResNet backbone starts from (empty: ImageNet where a package carries it, else
    random). ``text`` names a text encoder, ``clip`` an image-text model; both only where the method uses them.
    """

    schema_version: int
    method: str
    backbone: str = ""
    weights: str = ""
    text: str = "none"
    clip: str = ""
    seed: int = 0
    data: DataSpec = field(default_factory=DataSpec)
    held_out: HeldOutSpec = field(default_factory=HeldOutSpec)
    training: LoopSpec = field(default_factory=lambda: LoopSpec(steps=1000))
    objective: dict[str, Any] = field(default_factory=dict)


def recipe_names() -> list[str]:
    """Return the names of the shipped recipes."""
    return sorted(path.stem for path in _FOLDER.glob("*.toml"))


def read_training_recipe(name_or_path: str) -> TrainingRecipe:
    """Return a recipe by shipped name or by path.

    Raises InvalidInput where there is none, where it is not TOML, or where a value does not fit.
    """
    path = _FOLDER / f"{name_or_path}.toml" if name_or_path in recipe_names() else Path(name_or_path)
    if not path.is_file():
        raise InvalidInput(
            f"There is no recipe {name_or_path!r}", fix=f"name a file, or one of: {', '.join(recipe_names())}"
        )
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidInput(f"The recipe {path} is not TOML", why=str(error)) from error
    recipe = from_document(TrainingRecipe, document, path.name)
    check_recipe(recipe)
    return recipe


def recipe_toml(recipe: TrainingRecipe) -> str:
    """Return a recipe as TOML text that ``read_training_recipe`` reads back as the same recipe."""
    import tomli_w

    return tomli_w.dumps(dataclasses.asdict(recipe))


def check_recipe(recipe: TrainingRecipe) -> None:
    """Raise InvalidInput for values that no run could be made with."""
    data, loop, held_out = recipe.data, recipe.training, recipe.held_out
    unknown = [group for group in (*data.groups, *held_out.groups) if group not in GROUPS]
    metrics = [*data.metrics, *([data.similarity] if data.similarity else [])]
    wrong = [
        (recipe.schema_version == SCHEMA_VERSION, "schema_version", f"this version reads {SCHEMA_VERSION}"),
        (0 <= recipe.seed < 2**31, "seed", "a whole number from 0 on"),
        (data.crop_size >= 32, "data.crop_size", "at least 32 pixels"),
        (32 <= loop.window <= data.crop_size, "training.window", "from 32 to data.crop_size"),
        (data.crops_per_photograph >= 1, "data.crops_per_photograph", "at least 1"),
        (data.chains >= 1 and held_out.chains >= 1, "chains", "at least 1"),
        (data.steps_per_chain >= 1, "data.steps_per_chain", "at least 1"),
        (data.compositions >= 0, "data.compositions", "at least 0"),
        (_rising(data.levels) and _rising(held_out.levels), "levels", "rising whole numbers from 1 to 5"),
        (not unknown, "groups", f"among {', '.join(GROUPS)}"),
        (all(name in FR_METRICS for name in metrics), "metrics", f"among {', '.join(FR_METRICS)}"),
        (0 < held_out.share < 1, "held_out.share", "between 0 and 1"),
        (loop.steps >= 1, "training.steps", "at least 1"),
        (loop.contents >= 1, "training.contents", "at least 1"),
        (min(loop.look_every, loop.checkpoint_every) >= 1, "look_every, checkpoint_every", "at least 1"),
        (0 <= loop.warm_up_share < 1, "training.warm_up_share", "from 0 to less than 1"),
        (loop.loader_workers >= 0, "training.loader_workers", "at least 0"),
        (loop.precision in PRECISIONS, "training.precision", f"one of {', '.join(PRECISIONS)}"),
    ]
    for fine, key, rule in wrong:
        if not fine:
            raise InvalidInput(f"The recipe's {key} does not fit", fix=f"it must be {rule}")


def _rising(levels: tuple[int, ...]) -> bool:
    return bool(levels) and all(1 <= level <= 5 for level in levels) and list(levels) == sorted(set(levels))
