"""The waterfall: the same pictures through every stage from teacher to camera, and what each step changed."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from edge_iqa.benchmarks.drift import Drift, compare_scores
from edge_iqa.benchmarks.stats_correlation import plcc, srocc

_DECIMALS = 7
TEACHER = "teacher"
TEACHER_RESIZED = "teacher_resized"
STUDENT = "student"
FLOAT_ONNX = "float_onnx"
FAKE_QUANT = "fake_quant"
QDQ = "qdq"

# stages that are the same on every device, in the order in which a score passes through them
SHARED_STAGES: dict[str, str] = {
    TEACHER: "teacher, full resolution (PyTorch)",
    TEACHER_RESIZED: "teacher on the student's input",
    STUDENT: "student, float (PyTorch)",
    FLOAT_ONNX: "student, float (model.onnx, ONNX Runtime)",
    FAKE_QUANT: "student, fake-quantized (PyTorch)",
    QDQ: "Q/DQ graph (ONNX Runtime, no optimization)",
}


@dataclass(frozen=True)
class Stage:
    """Scores ``(N,)`` of all pictures at one stage, or why there are none.

    ``after`` is the stage it is compared with; None means the one before it that has scores. ``source`` is
    ``measured`` or ``bundle`` (scores that travel in the bundle).
    """

    step: str
    title: str
    scores: Sequence[float] = ()
    source: str = "measured"
    not_run: str | None = None
    after: str | None = None


@dataclass(frozen=True)
class HumanAgreement:
    """Correlation of a step's scores with human scores of ``n`` pictures; None where not defined."""

    n: int
    srcc: float | None
    plcc: float | None


@dataclass(frozen=True)
class WaterfallStep:
    """One step: ``drift`` is against the step ``against``, ``total`` against the first step that was run.

    A step that was not run has the reason in ``not_run`` and None elsewhere.
    """

    step: str
    title: str
    source: str | None
    against: str | None
    drift: Drift | None
    total: Drift | None
    human: HumanAgreement | None
    not_run: str | None
    scores: list[float] = field(default_factory=list)


def build_waterfall(
    stages: Sequence[Stage], threshold: float, opinions: Mapping[int, float] | None = None
) -> list[WaterfallStep]:
    """Compare every stage with the one before it and with the first.

    ``threshold`` is that of keep and drop; ``opinions`` are human scores by the picture's position. Every stage
    with scores must have one per picture.
    """
    done: dict[str, Stage] = {}
    steps: list[WaterfallStep] = []
    for stage in stages:
        if stage.not_run is not None:
            steps.append(WaterfallStep(stage.step, stage.title, None, None, None, None, None, stage.not_run))
            continue
        first = next(iter(done.values()), None)
        before = done.get(stage.after) if stage.after is not None else next(reversed(done.values()), None)
        steps.append(
            WaterfallStep(
                step=stage.step,
                title=stage.title,
                source=stage.source,
                against=None if before is None else before.step,
                drift=None if before is None else _drift(before, stage, threshold),
                total=None if first is None else _drift(first, stage, threshold),
                human=None if not opinions else human_agreement(stage.scores, opinions),
                not_run=None,
                scores=[round(score, _DECIMALS) for score in stage.scores],
            )
        )
        done[stage.step] = stage
    return steps


def human_agreement(scores: Sequence[float], opinions: Mapping[int, float]) -> HumanAgreement:
    """Correlate scores ``(N,)`` with human scores by position, higher better in both."""
    at = sorted(opinions)
    found = np.array([scores[index] for index in at])
    wanted = np.array([opinions[index] for index in at])
    return HumanAgreement(len(at), _defined(srocc(found, wanted)), _defined(plcc(found, wanted)))


def _drift(before: Stage, stage: Stage, threshold: float) -> Drift:
    return _rounded(compare_scores(before.step, before.scores, stage.scores, threshold))


def _rounded(drift: Drift) -> Drift:
    floats = {key: round(value, _DECIMALS) for key, value in vars(drift).items() if isinstance(value, float)}
    return dataclasses.replace(drift, **floats)  # type: ignore[arg-type]


def _defined(correlation: float) -> float | None:
    return None if math.isnan(correlation) else round(correlation, _DECIMALS)
