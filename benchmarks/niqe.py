"""NIQE: how far the statistics of a picture's patches are from those of sharp patches of undistorted photographs.

Mittal, Soundararajan, Bovik, Making a "completely blind" image quality analyzer, IEEE Signal Processing Letters 20(3),
2013; implemented from the paper, see ``niqe_features`` for what it leaves open. No human score is involved.

The pristine model is ours, so the numbers are not those of the authors' model: fitted by ``niqe_fit`` on 561
photographs: Kodak (24), the wallpapers of Debian packages that are photographs (37), and BSDS500 (500). Its file's
header names the pictures that were left out, and the sha256 of the data. Ten of the Kodak ones come with the tool.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_iqa.benchmarks.niqe_features import FEATURES, patch_statistics
from edge_iqa.errors import ImageError, ModelRefused
from edge_iqa.preprocess import check_image

Array = NDArray[np.float64]

MODEL = Path(__file__).parent / "niqe.safetensors"
SCHEMA_VERSION = "1"


@dataclass(frozen=True)
class PatchGaussian:
    """Mean ``(36,)`` and covariance ``(36, 36)`` of patch features, float64."""

    mean: Array
    covariance: Array


def fit_gaussian(features: Array) -> PatchGaussian:
    """Fit a Gaussian to features ``(P, 36)``, P at least 1; the covariance of a single patch is zero (ours)."""
    count = len(features)
    centred = features - features.mean(0)
    return PatchGaussian(features.mean(0), centred.T @ centred / max(count - 1, 1))


def distance(first: PatchGaussian, second: PatchGaussian) -> float:
    """Return ``sqrt((m1 - m2)^T ((S1 + S2) / 2)^+ (m1 - m2))``: 0 for the same Gaussian, without an upper bound."""
    difference = first.mean - second.mean
    inverse = np.linalg.pinv((first.covariance + second.covariance) / 2, hermitian=True)
    return math.sqrt(max(float(difference @ inverse @ difference), 0.0))


def niqe(image: NDArray[np.uint8]) -> float:
    """NIQE of a picture ``(H, W, 3)`` uint8 RGB, turned: minus the distance, so that higher is better; at most 0.

    Raises ImageError for a picture that it has no value for: one below 96 pixels in height or width, or one all of
    whose patches are flat or without a fit. Such patches of another picture are left out (ours).
    """
    features, _ = patch_statistics(luma(image))
    features = features[np.isfinite(features).all(1)]
    if not len(features):
        raise ImageError("NIQE has no value for this picture", why="it is flat, or smaller than 96x96 pixels")
    return -distance(pristine_model(), fit_gaussian(features))


def luma(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the luma ``(H, W)`` uint8 of a picture ``(H, W, 3)`` uint8 RGB: ITU-R BT.601, rounded."""
    import cv2

    check_image(image)
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)


@lru_cache(maxsize=1)
def pristine_model() -> PatchGaussian:
    """Return the Gaussian of undistorted photographs that comes with the tool."""
    return read_model(MODEL)[0]


def read_model(path: Path) -> tuple[PatchGaussian, dict[str, str]]:
    """Read what ``niqe_fit`` wrote: the Gaussian, and what is known of its data. Raises ModelRefused.

    The layout is safetensors': the length of a JSON header, the header, the numbers. It is read here, so that the
    baseline needs no extra.
    """
    try:
        content = path.read_bytes()
        start = 8 + int.from_bytes(content[:8], "little")
        header = json.loads(content[8:start])
        facts: dict[str, str] = header.get("__metadata__", {})
        if facts.get("schema_version") != SCHEMA_VERSION:
            raise ValueError(f"schema_version {facts.get('schema_version')!r}")
        mean, covariance = (_tensor(content[start:], header[name]) for name in ("mean", "covariance"))
        if mean.shape != (FEATURES,) or covariance.shape != (FEATURES, FEATURES):
            raise ValueError(f"shapes {mean.shape} and {covariance.shape}")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelRefused(f"{path.name} is not a NIQE model of this version", why=str(error)) from error
    return PatchGaussian(mean, covariance), facts


def _tensor(content: bytes, entry: dict[str, list[int]]) -> Array:
    first, last = entry["data_offsets"]
    return np.frombuffer(content[first:last], "<f8").astype(np.float64).reshape(entry["shape"])
