"""The teacher of a quantization run: a file from ``train`` or ``import``, or any function of a picture."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from edge_iqa.benchmarks.teacher_scores import ScoreArray, array_scorer
from edge_iqa.models.callable_teacher import CallableTeacher, is_callable_name, load_callable_teacher
from edge_iqa.models.checkpoint import file_sha256, load_network
from edge_iqa.models.teacher import TeacherNetwork


@dataclass(frozen=True)
class TeacherSource:
    """A teacher, what it is called in the bundle, and the sha256 of what it was read from."""

    network: TeacherNetwork
    name: str
    sha256: str

    def calibrate(self, features: Tensor) -> None:
        """Let a function that scores on its own scale fix it from the features ``(N, F)`` of all pictures."""
        if isinstance(self.network, CallableTeacher):
            self.network.calibrate(features)

    def scorer(self) -> ScoreArray | None:
        """Return what scores one picture as an array; None for a function, whose scale is not a score's."""
        if not isinstance(self.network, nn.Module):
            return None
        return array_scorer(self.network, self.network.mean, self.network.std)


def open_teacher(teacher: str | Path) -> TeacherSource:
    """Return the teacher named by a path, or as ``module:function``.

    Raises InvalidInput, MissingDependency or ModelRefused where it cannot be had.
    """
    if isinstance(teacher, str) and is_callable_name(teacher):
        function = load_callable_teacher(teacher)
        return TeacherSource(function, teacher, function.sha256)
    path = Path(teacher)
    network, name, _ = load_network(path)
    return TeacherSource(network, name, file_sha256(path))
