"""What a picture goes through before a program sees it as a camera frame: coding, and the camera's own scaling.

Stand-ins for a camera, ours: motion JPEG with halved colour resolution, as a USB camera sends it, and after it
the plain bilinear scaling (no anti-aliasing) with which camera drivers and video pipelines fit a stream's size.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge_iqa.errors import InvalidInput

JPEG_QUALITY = 90
STREAM_WIDTH, STREAM_HEIGHT = 640, 480
DECODE = "decode"
RESIZE = "resize"
CAMERA_STEPS = {
    DECODE: f"camera path: motion JPEG, quality {JPEG_QUALITY}, 4:2:0",
    RESIZE: f"camera path: and scaled to fit {STREAM_WIDTH}x{STREAM_HEIGHT}, bilinear",
}


def through_camera(picture: NDArray[np.uint8], step: str) -> NDArray[np.uint8]:
    """Return a picture ``(H, W, 3)`` uint8 RGB as it arrives after ``decode``, or after ``resize`` as well.

    A picture that is smaller than the stream is not enlarged. Raises InvalidInput for another step.
    """
    if step not in CAMERA_STEPS:
        raise InvalidInput(f"There is no camera step {step!r}", fix=f"one of: {', '.join(CAMERA_STEPS)}")
    frame = picture if step == DECODE else _scaled(picture)
    return _coded(frame)


def _coded(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    import cv2

    options = [
        cv2.IMWRITE_JPEG_QUALITY,
        JPEG_QUALITY,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420,
    ]
    done, data = cv2.imencode(".jpg", cv2.cvtColor(frame, cv2.COLOR_RGB2BGR), options)
    assert done
    decoded = cv2.imdecode(data, cv2.IMREAD_COLOR)
    return np.asarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB), np.uint8)


def _scaled(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    import cv2

    height, width = picture.shape[:2]
    scale = min(STREAM_WIDTH / width, STREAM_HEIGHT / height, 1.0)
    if scale == 1.0:
        return picture
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_LINEAR), np.uint8)
