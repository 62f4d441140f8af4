"""Classical sharpness measures without any learning, to compare a bundle with.

Both look at the luma at the picture's own size: Y = 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601), rounded to
0..255, with the border mirrored. Neither has an upper bound, and higher means sharper. Noise counts as
sharpness, and a larger picture of the same scene scores lower: that is how these measures are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

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


BASELINES: dict[str, Callable[[NDArray[np.uint8]], float]] = {
    "laplacian": laplacian_variance,
    "tenengrad": tenengrad,
}


def _luma(image: NDArray[np.uint8]) -> Any:
    import cv2

    check_image(image)
    return cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
