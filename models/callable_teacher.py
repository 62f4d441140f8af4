"""Any Python function as a teacher: picture in, score out (``edge-iqa quantize --teacher module:function``)."""

from __future__ import annotations

import hashlib
import importlib
import inspect
import math
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edge_iqa.errors import InvalidInput, MissingDependency

ScoreFunction = Callable[[NDArray[np.uint8]], float]


class CallableTeacher:
    """A function from a picture, uint8 RGB ``(H, W, 3)``, to a finite number, higher for better.

    It fits ``edge_iqa.models.teacher.TeacherNetwork``. The function may score on any scale: ``calibrate`` with the
    scores of the training pictures turns it into logits of mean 0 and deviation 1, whose order is the function's.
    The one feature of a picture is its score; there is nothing else for distillation to learn from.
    """

    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)

    def __init__(self, function: ScoreFunction, name: str) -> None:
        self._function = function
        self.name = name
        self._centre = 0.0
        self._spread = 1.0

    @property
    def sha256(self) -> str:
        """sha256 over the name and the source of the function's module: what a cache of its scores depends on."""
        digest = hashlib.sha256(self.name.encode())
        source = inspect.getsourcefile(inspect.unwrap(self._function)) if callable(self._function) else None
        if source is not None and Path(source).is_file():
            digest.update(Path(source).read_bytes())
        return digest.hexdigest()

    def features(self, x: Tensor) -> Tensor:
        """Return the scores ``(N, 1)`` of pictures ``(N, 3, H, W)`` in [0, 1].

        Raises InvalidInput where the function gives something that is not one finite number.
        """
        pictures = (x * 255).round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()
        return torch.tensor([[self._score(picture)] for picture in pictures], dtype=torch.float32)

    def _score(self, picture: NDArray[np.uint8]) -> float:
        value = self._function(picture)
        try:
            score = float(value)
        except (TypeError, ValueError) as error:
            raise InvalidInput(f"{self.name} gave {value!r} for a picture", fix="it must return one number") from error
        if not math.isfinite(score):
            raise InvalidInput(f"{self.name} gave {score} for a picture", fix="it must return a finite number")
        return score

    def calibrate(self, scores: Tensor) -> None:
        """Fix shift and scale from the scores ``(..., 1)`` of all training pictures.

        Raises InvalidInput where all scores are the same: there is nothing to learn from.
        """
        self._centre, self._spread = float(scores.mean()), float(scores.std())
        if not self._spread > 0:
            raise InvalidInput(f"{self.name} gives every picture the score {self._centre:g}")

    def logit(self, features: Tensor) -> Tensor:
        """Return the shifted and scaled scores ``(N, 1)``."""
        return (features - self._centre) / self._spread


def is_callable_name(teacher: str) -> bool:
    """Whether a teacher is named as ``module:function`` and not as a file."""
    module, colon, function = teacher.partition(":")
    names = [*module.split("."), function]
    return bool(colon) and all(name.isidentifier() for name in names) and not Path(teacher).exists()


def load_callable_teacher(name: str) -> CallableTeacher:
    """Import ``module:function`` and return it as a teacher; the current folder is looked in first.

    Raises InvalidInput where there is no such module or function, MissingDependency where the module is there but
    something that it imports is not. Importing runs the module: name only code that you trust.
    """
    module_name, _, function_name = name.partition(":")
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is not None and not module_name.startswith(error.name):
            raise MissingDependency(f"{module_name} needs the package {error.name}", why=str(error)) from error
        raise InvalidInput(
            f"There is no module {module_name!r}", why=str(error), fix="run in its folder, or install it"
        ) from error
    finally:
        sys.path.remove(here)
    function = getattr(module, function_name, None)
    if not callable(function):
        raise InvalidInput(f"{module_name} has no function {function_name!r}")
    return CallableTeacher(function, name)
