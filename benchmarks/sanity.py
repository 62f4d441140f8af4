"""The sanity set: noise, flat colour, photographs and their degraded versions, whose order must be sensible.

The photographs are those that come with the tool. No human score is needed: whoever looks at the pictures agrees.
A measure of quality that fails here will fail in a camera: a score that rises with noise, or that likes a lens cap.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_iqa.benchmarks.pictures import embedded_photographs
from edge_iqa.decode import read_image
from edge_iqa.errors import ImageError
from edge_iqa.progress import track

Picture = NDArray[np.uint8]
Scores = NDArray[np.float64]
Measure = Callable[[Picture], float]

SIDE_PX = 512
MILD, STRONG = 3, 5
SHARE_IN_ORDER = 0.9
DEGRADATIONS = (
    "gaublur", "defocus", "motionpath", "jpeg", "video", "downscale", "pixelate", "whitenoise", "sensornoise",
    "lowlight", "overexposure", "haze",
)  # fmt: skip
FLAT_COLOURS = {"black": (0, 0, 0), "grey": (128, 128, 128), "white": (255, 255, 255), "blue": (40, 80, 200)}


@dataclass(frozen=True)
class SanityLine:
    """One demand of the sanity set, whether it is met, and the numbers that say so."""

    name: str
    passed: bool
    detail: str


def run_sanity(
    measures: Sequence[Measure], photographs: Sequence[Picture] = (), seed: int = 0
) -> list[list[SanityLine]]:
    """Return, for each measure (uint8 RGB ``(H, W, 3)`` → number, higher is better), a line per demand.

    Noise and flat colour must score below every photograph. Of each degradation, the mean score over the photographs
    must fall from the original to level 3 and on to level 5, and at least 90 % of the photographs must score higher
    than themselves at level 5. A picture that the measure refuses with ImageError counts as scored lowest. Without
    ``photographs``, those that come with the tool are taken, cut to the square in their middle.
    """
    pictures = list(photographs) or [_middle(read_image(path)) for path in sorted(embedded_photographs().glob("*.jpg"))]
    pristine = _score_all(measures, pictures)
    twice = _score_all(measures, [pictures[0].copy()])
    lines = [[_same_twice(scores[0], again[0])] for scores, again in zip(pristine, twice, strict=True)]
    artificial = {**_noises(seed), **{f"flat {name}": _flat(colour) for name, colour in FLAT_COLOURS.items()}}
    for name, picture in artificial.items():
        for own, scores, found in zip(lines, pristine, _score_all(measures, [picture]), strict=True):
            own.append(_below(f"{name} below every photograph", found[0], scores.min()))
    for name in track(DEGRADATIONS, "degrading"):
        mild, strong = (
            _score_all(measures, [_degraded(picture, name, level, seed + i) for i, picture in enumerate(pictures)])
            for level in (MILD, STRONG)
        )
        for own, scores, weaker, worse in zip(lines, pristine, mild, strong, strict=True):
            own.append(_falls(f"{name} lowers the score", scores, weaker, worse))
    return lines


def _score_all(measures: Sequence[Measure], pictures: Sequence[Picture]) -> NDArray[np.float64]:
    """Return the scores ``(measures, pictures)``."""
    return np.array([[_score(measure, picture) for picture in pictures] for measure in measures])


def _degraded(picture: Picture, name: str, level: int, seed: int) -> Picture:
    from edge_iqa.models.degradations import degrade

    damaged = degrade(picture.astype(np.float32) / np.float32(255), name, level, seed)
    return (damaged * 255.0 + 0.5).astype(np.uint8)


def _below(name: str, score: float, lowest: float) -> SanityLine:
    return SanityLine(name, bool(score < lowest), f"{score:.4g} against {lowest:.4g} at least")


def _falls(name: str, pristine: Scores, mild: Scores, strong: Scores) -> SanityLine:
    means = [float(values.mean()) for values in (pristine, mild, strong)]
    in_order = int(np.count_nonzero(pristine > strong))
    passed = means[0] > means[1] > means[2] and in_order >= SHARE_IN_ORDER * len(pristine)
    shown = ", ".join(f"{mean:.4g}" for mean in means)
    detail = f"mean {shown} at levels 0, {MILD}, {STRONG}; {in_order} of {len(pristine)} in order"
    return SanityLine(name, passed, detail)


def _same_twice(score: float, again: float) -> SanityLine:
    return SanityLine("one picture, one score", bool(again == score), f"{score:.6g} and {again:.6g}")


def _noises(seed: int) -> dict[str, Picture]:
    random = np.random.default_rng(seed)
    shape = (SIDE_PX, SIDE_PX, 3)
    grey = random.normal(128.0, 40.0, (SIDE_PX, SIDE_PX, 1))
    return {
        "uniform colour noise": random.integers(0, 256, shape, dtype=np.uint8),
        "Gaussian colour noise": np.clip(random.normal(128.0, 40.0, shape), 0, 255).astype(np.uint8),
        "Gaussian grey noise": np.clip(grey, 0, 255).astype(np.uint8).repeat(3, axis=2),
    }


def _middle(picture: Picture) -> Picture:
    side = min(picture.shape[:2])
    top, left = (picture.shape[0] - side) // 2, (picture.shape[1] - side) // 2
    return np.ascontiguousarray(picture[top : top + side, left : left + side])


def _flat(colour: tuple[int, int, int]) -> Picture:
    return np.full((SIDE_PX, SIDE_PX, 3), colour, np.uint8)


def _score(measure: Measure, picture: Picture) -> float:
    try:
        return measure(picture)
    except ImageError:
        return float("-inf")
