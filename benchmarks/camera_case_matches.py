"""How well consecutive kept frames fit together: ORB features, matched and checked by a homography."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

FEATURES = 500
FEWEST_INLIERS = 30  # below, we call a pair lost; the number is ours
_RATIO = 0.8  # Lowe's test
_MAX_ERROR_PX = 2.0


@dataclass(frozen=True)
class Features:
    """Points (N, 2) float32 in pixels, and their ORB descriptors (N, 32) uint8."""

    points: NDArray[np.float32]
    descriptors: NDArray[np.uint8]


@dataclass(frozen=True)
class MatchFigures:
    """Over pairs of consecutive kept frames: how many, the mean and median inliers, the share of lost pairs."""

    pairs: int
    mean_inliers: float
    median_inliers: float
    lost_share: float


def find_features(pixels: NDArray[np.uint8]) -> Features:
    """Return up to 500 ORB features of a uint8 RGB picture (Rublee et al., ORB, ICCV 2011; OpenCV's defaults)."""
    import cv2

    points, descriptors = _detector().detectAndCompute(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), None)
    if descriptors is None:
        return Features(np.zeros((0, 2), np.float32), np.zeros((0, 32), np.uint8))
    return Features(np.array([point.pt for point in points], dtype=np.float32), np.asarray(descriptors, np.uint8))


def inliers(one: Features, other: Features) -> int:
    """Return how many matches agree on one homography to 2 pixels; 0 where none can be found."""
    import cv2

    if len(one.points) < 4 or len(other.points) < 4:
        return 0
    pairs = cv2.BFMatcher(cv2.NORM_HAMMING).knnMatch(one.descriptors, other.descriptors, k=2)
    good = [pair[0] for pair in pairs if len(pair) == 2 and pair[0].distance < _RATIO * pair[1].distance]
    if len(good) < 4:
        return 0
    here = one.points[[match.queryIdx for match in good]]
    there = other.points[[match.trainIdx for match in good]]
    cv2.setRNGSeed(0)
    _, mask = cv2.findHomography(here, there, cv2.RANSAC, _MAX_ERROR_PX)
    return 0 if mask is None else int(np.count_nonzero(mask))


def match_figures(videos: Sequence[Sequence[Features]], kept: Sequence[Sequence[bool]]) -> MatchFigures:
    """Match each kept frame with the kept frame before it, video by video."""
    counts: list[int] = []
    for features, decisions in zip(videos, kept, strict=True):
        chosen = [item for item, keep in zip(features, decisions, strict=True) if keep]
        counts += [inliers(one, other) for one, other in pairwise(chosen)]
    if not counts:
        return MatchFigures(0, 0.0, 0.0, 1.0)
    lost = sum(count < FEWEST_INLIERS for count in counts) / len(counts)
    return MatchFigures(len(counts), float(np.mean(counts)), float(np.median(counts)), lost)


def _detector() -> Any:
    import cv2

    return cv2.ORB.create(nfeatures=FEATURES)
