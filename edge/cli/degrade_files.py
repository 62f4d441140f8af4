"""Pictures of ``edge-iqa degrade``: read as float, written by the ending of the file's name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_iqa.cli.output import check_output
from edge_iqa.decode import read_image
from edge_iqa.errors import InvalidInput

ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
_JPEG_QUALITY = 95


def check_picture_output(path: Path) -> None:
    """Raise InvalidInput where ``path`` cannot be written, or its ending is not that of a picture."""
    check_output(path)
    if path.suffix.lower() not in ENDINGS:
        raise InvalidInput(f"{path} is not named like a picture", fix=f"end its name with one of: {', '.join(ENDINGS)}")


def read_float(path: Path) -> NDArray[np.float32]:
    """Return a picture as float32 RGB ``(H, W, 3)`` in [0, 1]; raises ImageError."""
    return read_image(path).astype(np.float32) / np.float32(255.0)


def write_picture(path: Path, picture: NDArray[np.float32] | NDArray[np.uint8]) -> None:
    """Write RGB ``(H, W, 3)``, float in [0, 1] or uint8; raises InvalidInput where that is not possible."""
    import cv2

    pixels = picture if picture.dtype == np.uint8 else (picture * 255.0 + 0.5).astype(np.uint8)
    ending = path.suffix.lower()
    options = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY] if ending in (".jpg", ".jpeg") else []
    _, encoded = cv2.imencode(ending, np.ascontiguousarray(pixels[:, :, ::-1]), options)
    try:
        path.write_bytes(encoded.tobytes())
    except OSError as error:
        raise InvalidInput(f"{path} cannot be written", why=error.strerror or str(error)) from error
