"""Recipes: everything that decides what a quantization run makes, as frozen dataclasses read from TOML."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path

from edge_iqa.errors import InvalidInput
from edge_iqa.models.student import LITE_STUDENT, RESNET_STUDENT, STUDENTS
from edge_iqa.models.synthesis import SynthesisSpec
from edge_iqa.preprocess import PreprocessSpec, input_spec
from edge_iqa.spec import from_document

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SCHEMA_VERSION = 1
IMAGENET, SHIPPED, RANDOM, WEIGHTS = "imagenet", "shipped", "random", "weights"
STARTS = {LITE_STUDENT: (IMAGENET, SHIPPED), RESNET_STUDENT: (RANDOM, WEIGHTS)}
CUT_GRID = 32  # pixels; crops are of its multiples, and begin at them
_FOLDER = Path(__file__).parent / "recipes"


@dataclass(frozen=True)
class FloatStage:
    """Distillation in float: ``steps`` of ``batch`` crops of ``crop_size`` pixels; the weights of the four terms.

    The last ``last_steps`` of them take crops of ``last_crop_size`` instead, with as many pixels a step. Then come
    ``settle_steps`` of the same crops with batch statistics as they are scored with, at a fifth of the rates. With
    ``bfloat16`` the trunk computes in it where the processor does (AVX512_BF16, AMX), in float32 elsewhere.
    ``crop_size`` and ``last_crop_size`` are multiples of 32.

    With ``staged_steps`` the stages of the network learn apart in the first of the steps and are joined by that many
    (``edge_iqa.quantize.stagewise``). Then crops are varied, the teacher is asked about each, the maps are those of
    all its stages, ``learning_rate`` is that of all weights, and there is no term of features. All of it but the
    learning apart is done ``rounds`` times, each from what the one before made. After the last the student settles
    again for ``finish_steps``, and ends as the mean of its weights before and after these. In the last ``reach_steps``
    of all steps values that reach far count against it (``edge_iqa.quantize.reach``).
    """

    steps: int
    batch: int = 32
    crop_size: int = 224
    last_steps: int = 0
    last_crop_size: int = 224
    settle_steps: int = 0
    staged_steps: int = 0
    rounds: int = 1
    finish_steps: int = 0
    reach_steps: int = 0
    bfloat16: bool = False
    learning_rate: float = 1e-3
    trunk_learning_rate: float = 3e-4
    weight_decay: float = 0.01
    score_weight: float = 1.0
    ranking_weight: float = 0.5
    feature_weight: float = 0.1
    map_weight: float = 0.1

    @property
    def round_steps(self) -> int:
        """Steps of one round, those that settle among them."""
        return self.steps + self.settle_steps

    @property
    def all_steps(self) -> int:
        """Steps of all rounds, and those after the last."""
        return self.rounds * self.round_steps + self.finish_steps

    def crops_at(self, step: int) -> tuple[int, int]:
        """Return how many crops a step of a round takes, and of what size."""
        if not self.last_steps or step < self.steps - self.last_steps:
            return self.batch, self.crop_size
        return max(1, round(self.batch * (self.crop_size / self.last_crop_size) ** 2)), self.last_crop_size


@dataclass(frozen=True)
class BoundStage:
    """Every tensor that will be rounded ends at ``deviations`` of its own, measured on ``pictures`` training crops.

    Then the float student is trained for ``steps`` of ``batch`` crops of ``crop_size`` to give what it gave before
    (``edge_iqa.quantize.bounds``); ``learning_rate`` is in root mean squares of a layer's weights. With
    ``attention_deviation`` attention is softened first to logits that deviate by no more
    (``edge_iqa.quantize.attention``). Without ``deviations`` nothing is bounded, and steps or softening are refused.
    """

    deviations: float | None = None
    attention_deviation: float | None = None
    steps: int = 0
    batch: int = 8
    crop_size: int = 224
    pictures: int = 96
    learning_rate: float = 3e-4


@dataclass(frozen=True)
class QatStage:
    """Layers are rebuilt on ``pictures`` cut to ``crop_size``, then trained together for ``steps`` of ``batch``.

    Without ``rebuild`` the pictures only set ranges, and weights are rounded to the nearest. With ``spare_channels``
    dead channels share the rounding of others first; with ``equalize`` channels reach equally far before that. With
    ``exact_steps`` all runtimes compute the same integers (``edge_iqa.quantize.exact``).

    ``step_rate`` is the learning rate of weights in steps of their integers, ``learning_rate`` that of biases and head;
    ``feature_weight`` is that of the features beside the logit. Convolutions whose names start with one of
    ``float_layers`` stay float.
    """

    steps: int
    batch: int = 16
    crop_size: int = 224
    pictures: int = 256
    rebuild: bool = True
    equalize: bool = True
    spare_channels: bool = True
    exact_steps: bool = True
    step_rate: float = 5e-3
    learning_rate: float = 3e-5
    feature_weight: float = 1.0
    weight_bits: int = 8
    float_layers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Recipe:
    """One run of ``edge-iqa quantize``; ``height`` and ``width`` are the student's input in pixels.

    With ``shorter_side`` a larger picture is shrunk until its shorter side has so many pixels, and the middle is looked
    at; without, it is shrunk until it just covers the input (``edge_iqa.preprocess``).
    ``start`` is where the float student starts: ``imagenet``, or ``shipped``, the weights of the shipped student; that
    of ``hirqa-s`` ``random``, or ``weights``, a file that is given with the run.
    With ``stage_scores`` the bundle carries what teacher, float student and fake-quantized student say of the
    embedded pictures, so that a device without torch can show the whole waterfall of drift.
    With ``exact_pixels`` the student, in float too, takes pixels that int8 holds as they are
    (``edge_iqa.quantize.pixel_grid``): where each colour had a normalisation of its own, its border is another grey.
    """

    schema_version: int
    name: str
    float_stage: FloatStage
    qat_stage: QatStage
    height: int = 384
    width: int = 384
    shorter_side: int | None = None
    seed: int = 0
    student: str = LITE_STUDENT
    start: str = IMAGENET
    stage_scores: bool = False
    exact_pixels: bool = True
    bound_stage: BoundStage = field(default_factory=BoundStage)
    data: SynthesisSpec = field(default_factory=lambda: SynthesisSpec(metrics=()))

    @property
    def preprocess(self) -> PreprocessSpec:
        """How a picture becomes the student's input."""
        return input_spec(self.height, self.width, self.shorter_side)


def recipe_names() -> list[str]:
    """Return the names of the shipped recipes."""
    return sorted(path.stem for path in _FOLDER.glob("*.toml"))


def read_recipe(name_or_path: str, student: str | None = None) -> tuple[Recipe, str]:
    """Return a recipe and its text, by shipped name or by path.

    Where ``student`` is given it must be a recipe of that student; a name such as ``full`` is then the student's own.
    Raises InvalidInput where there is none, where it is not TOML, or where a value does not fit.
    """
    if student is not None and student not in STUDENTS:
        raise InvalidInput(f"There is no student {student!r}", fix=f"one of: {', '.join(STUDENTS)}")
    if f"{student}-{name_or_path}" in recipe_names():
        name_or_path = f"{student}-{name_or_path}"
    path = _FOLDER / f"{name_or_path}.toml" if name_or_path in recipe_names() else Path(name_or_path)
    if not path.is_file():
        raise InvalidInput(
            f"There is no recipe {name_or_path!r}",
            fix=f"one of: {', '.join(recipe_names())}, or a .toml file",
        )
    text = path.read_text(encoding="utf-8")
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidInput(f"{path.name} is not TOML", why=str(error)) from error
    if document.get("schema_version") != SCHEMA_VERSION:
        raise InvalidInput(
            f"{path.name} has schema_version {document.get('schema_version')!r}",
            why=f"this version of edge-iqa reads {SCHEMA_VERSION}",
        )
    recipe = from_document(Recipe, document, path.name)
    if recipe.student not in STUDENTS:
        raise InvalidInput(f"{path.name} has the student {recipe.student!r}", fix=f"one of: {', '.join(STUDENTS)}")
    if student not in (None, recipe.student):
        raise InvalidInput(f"{path.name} is a recipe of {recipe.student}, not of {student}")
    if recipe.start not in STARTS[recipe.student]:
        raise InvalidInput(
            f"{path.name} starts from {recipe.start!r}",
            fix=f"{recipe.student} starts from {' or '.join(map(repr, STARTS[recipe.student]))}",
        )
    input_spec(recipe.height, recipe.width, recipe.shorter_side)  # refuses sizes that do not go together
    _check_stages(recipe, path.name)
    return recipe, text


def _check_stages(recipe: Recipe, name: str) -> None:
    """Refuse steps that cannot be and crops that the set's pictures cannot give: minutes later it would be E000."""
    stage = recipe.float_stage
    if not 0 <= stage.last_steps <= stage.steps:
        raise InvalidInput(f"{name} has last_steps {stage.last_steps} of {stage.steps} steps")
    if stage.settle_steps < 0 or (stage.settle_steps and not stage.steps):
        raise InvalidInput(f"{name} has settle_steps {stage.settle_steps} after {stage.steps} steps")
    if not 0 <= stage.staged_steps <= stage.steps:
        raise InvalidInput(f"{name} has staged_steps {stage.staged_steps} of {stage.steps} steps")
    if stage.rounds != 1 and (stage.rounds < 1 or not stage.staged_steps):
        raise InvalidInput(f"{name} has rounds {stage.rounds}", why="only a student taught in stages has more than one")
    if stage.finish_steps and (stage.finish_steps < 0 or not stage.staged_steps):
        raise InvalidInput(
            f"{name} has finish_steps {stage.finish_steps}", why="they follow the rounds of a student taught in stages"
        )
    if not 0 <= stage.reach_steps <= stage.all_steps or (stage.reach_steps and not stage.staged_steps):
        raise InvalidInput(
            f"{name} has reach_steps {stage.reach_steps} of {stage.all_steps} steps",
            why="they are the last steps of a student taught in stages",
        )
    if stage.staged_steps and (recipe.student, recipe.start) != (RESNET_STUDENT, RANDOM):
        raise InvalidInput(f"{name} has staged_steps", why=f"only {RESNET_STUDENT} from {RANDOM!r} is taught in stages")
    if recipe.qat_stage.weight_bits not in (7, 8):
        raise InvalidInput(f"{name} has qat_stage.weight_bits {recipe.qat_stage.weight_bits}", fix="choose 7 or 8")
    crops = {"qat_stage.crop_size": recipe.qat_stage.crop_size}
    bounds = recipe.bound_stage
    if bounds.deviations is not None:
        if bounds.deviations < 1:
            raise InvalidInput(f"{name} has bound_stage.deviations {bounds.deviations}", fix="choose 1 or more, as 4.5")
        crops["bound_stage.crop_size"] = bounds.crop_size
        if bounds.attention_deviation is not None and bounds.attention_deviation <= 0:
            raise InvalidInput(
                f"{name} has bound_stage.attention_deviation {bounds.attention_deviation}",
                fix="choose more than 0, as 6.0",
            )
    else:
        for key in ("steps", "attention_deviation"):
            if getattr(bounds, key):
                raise InvalidInput(f"{name} has bound_stage.{key} {getattr(bounds, key)} without deviations")
    if stage.steps:
        crops["float_stage.crop_size"] = stage.crop_size
    if stage.last_steps:
        crops["float_stage.last_crop_size"] = stage.last_crop_size
    for key, size in crops.items():
        if size % CUT_GRID or not 0 < size <= recipe.data.crop_size:
            raise InvalidInput(
                f"{name} has {key} {size}",
                why=f"crops are cut from pictures of {recipe.data.crop_size} pixels (data.crop_size)",
                fix=f"choose a multiple of {CUT_GRID} up to that",
            )
