"""The one way any picture becomes the network's input tensor, on every device and in training.

``cover-crop``: the picture is scaled, keeping its shape, until it just covers ``width x height``, and the middle is
cut out. ``shrink-crop``: it is shrunk until its shorter side has ``shorter_side`` pixels, if it has more, and the
middle is cut out; only one that is smaller than the input is enlarged, until it covers it. Shrinking averages areas
(no aliasing), enlarging is bilinear; both are OpenCV's, on uint8. Normalisation and layout are inside the exported
graphs, so nothing else happens to a pixel before a runtime sees it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_iqa.errors import InvalidInput


@dataclass(frozen=True)
class PreprocessSpec:
    """How a picture of any size becomes ``(height, width, 3)`` uint8 RGB; sizes in pixels.

    ``shorter_side`` belongs to the rule ``shrink-crop`` alone, and is no less than either side of the input.
    """

    height: int
    width: int
    resize: str = "cover-crop"
    shorter_side: int | None = None
    shrink: str = "area"
    enlarge: str = "linear"
    colour: str = "rgb"

    def __post_init__(self) -> None:
        if self.height < 1 or self.width < 1:
            raise InvalidInput("The input size must be positive", why=f"{self.width}x{self.height}")
        rules = ("cover-crop", "shrink-crop")
        given, known = (self.shrink, self.enlarge, self.colour), ("area", "linear", "rgb")
        if given != known or self.resize not in rules:
            raise InvalidInput(
                f"The pre-processing rule {(self.resize, *given)} is not known",
                why=f"this version has {' and '.join(rules)}, with {known}",
                fix="use the version of edge-iqa that wrote the bundle",
            )
        if (self.shorter_side is not None) != (self.resize == "shrink-crop"):
            raise InvalidInput(
                f"The rule {self.resize} does not go with shorter_side {self.shorter_side}",
                why="shrink-crop needs one, cover-crop has none",
            )
        if self.shorter_side is not None and self.shorter_side < max(self.height, self.width):
            raise InvalidInput(
                f"The shorter side of {self.shorter_side} pixels is too small",
                why=f"{self.width}x{self.height} are cut out of it",
            )


def input_spec(height: int, width: int, shorter_side: int | None = None) -> PreprocessSpec:
    """Return the rule for an input of this size: ``shrink-crop`` where a shorter side is given, else ``cover-crop``."""
    return PreprocessSpec(height, width, "cover-crop" if shorter_side is None else "shrink-crop", shorter_side)


def check_image(image: NDArray[np.uint8]) -> None:
    """Raise InvalidInput unless ``image`` is uint8 ``(H, W, 3)`` with at least one pixel."""
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        shape = getattr(image, "shape", None)
        raise InvalidInput(
            "An image array must be uint8 RGB of shape (H, W, 3)",
            why=f"got {getattr(image, 'dtype', type(image).__name__)} {shape}",
        )
    if 0 in image.shape:
        raise InvalidInput("An image array must have at least one pixel", why=f"got {image.shape}")


def preprocess(image: NDArray[np.uint8], spec: PreprocessSpec) -> NDArray[np.uint8]:
    """Return the network's input ``(1, height, width, 3)`` uint8 RGB for a picture ``(H, W, 3)`` uint8 RGB.

    Raises InvalidInput for an array of another type or shape.
    """
    import cv2

    check_image(image)
    height, width = image.shape[:2]
    # The part that stays is cut first, so that a large picture is not resized beyond what is looked at.
    scale = max(spec.height / height, spec.width / width)
    if spec.shorter_side is not None:
        scale = max(scale, min(1.0, spec.shorter_side / min(height, width)))
    kept_height = min(height, max(1, round(spec.height / scale)))
    kept_width = min(width, max(1, round(spec.width / scale)))
    top, left = (height - kept_height) // 2, (width - kept_width) // 2
    kept = image[top : top + kept_height, left : left + kept_width]
    if kept.shape[:2] != (spec.height, spec.width):
        interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        kept = np.asarray(cv2.resize(kept, (spec.width, spec.height), interpolation=interpolation), np.uint8)
    return np.ascontiguousarray(kept)[None]
