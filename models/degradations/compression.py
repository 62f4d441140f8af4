"""Compression group: JPEG and JPEG 2000 (ARNIQA, arXiv 2310.14918, after KADID-10k)."""

from __future__ import annotations

import cv2
import numpy as np

from edge_iqa.models.degradations.base import Degradation, Image
from edge_iqa.models.degradations.filters import from_bytes_bgr, to_bytes_bgr

_SMALLEST_JPEG2000_SIDE_PX = 64


def encode_decode(image: Image, extension: str, options: list[int]) -> Image:
    """The picture after OpenCV's encoder for `extension` and its decoder, in memory."""
    _, encoded = cv2.imencode(extension, to_bytes_bgr(image), options)
    decoded = cv2.imdecode(encoded, cv2.IMREAD_COLOR)
    assert decoded is not None
    return from_bytes_bgr(decoded)


def jpeg(image: Image, quality: float, rng: np.random.Generator) -> Image:
    """JPEG of libjpeg `quality` with 4:2:0 chroma; levels as published."""
    options = [
        cv2.IMWRITE_JPEG_QUALITY,
        int(quality),
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420,
    ]
    return encode_decode(image, ".jpg", options)


def jpeg2000(image: Image, ratio: float, rng: np.random.Generator) -> Image:
    """JPEG 2000 of about 24 / `ratio` bits a pixel; levels as published.

    Mended for OpenCV's encoder (OpenJPEG), whose rate is set in thousandths of the raw size: the ratio
    becomes round(1000 / ratio), so 170 is coded at 167. A picture with a side under 64 pixels is padded
    by replication for the coding, because the encoder's six resolutions need that much.
    """
    height, width = image.shape[:2]
    missing_y = max(0, _SMALLEST_JPEG2000_SIDE_PX - height)
    missing_x = max(0, _SMALLEST_JPEG2000_SIDE_PX - width)
    padded = np.pad(image, ((0, missing_y), (0, missing_x), (0, 0)), mode="edge")
    options = [cv2.IMWRITE_JPEG2000_COMPRESSION_X1000, round(1000.0 / ratio)]
    return encode_decode(padded, ".jp2", options)[:height, :width]


COMPRESSION = (
    Degradation("jpeg2000", "compression", (16.0, 32.0, 45.0, 120.0, 170.0), "JPEG 2000, ratio", jpeg2000),
    Degradation("jpeg", "compression", (43.0, 36.0, 24.0, 7.0, 4.0), "JPEG, quality", jpeg),
)
