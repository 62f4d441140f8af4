"""Videos for which it is known which frames are bad: a camera path over a photograph, damaged at chosen frames."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_iqa.benchmarks.distortions import distort
from edge_iqa.errors import InvalidInput

Picture = NDArray[np.uint8]

# kind of damage → weakest and strongest; see distortions.distort for the units
DAMAGES: dict[str, tuple[float, float]] = {
    "motion": (9.0, 25.0),
    "blur": (1.6, 4.0),
    "noise": (15.0, 40.0),
    "dark": (3.0, 6.0),
    "jpeg": (14.0, 5.0),
}
FPS = 30.0
_CAMERA_NOISE = 2.0
_CAMERA_JPEG = 90.0
_BURST_FRAMES = (4, 12)


@dataclass(frozen=True)
class VideoSpec:
    """Size of a frame in pixels, frames per video, and the share of frames that are damaged."""

    width: int = 480
    height: int = 320
    frames: int = 120
    damaged_share: float = 0.3


@dataclass(frozen=True)
class CaseFrame:
    """A frame, uint8 RGB of shape (height, width, 3), and the damage done to it; None: as the camera gave it."""

    pixels: Picture
    damage: str | None


def damage_plan(spec: VideoSpec, seed: int) -> list[tuple[str, float] | None]:
    """Return for each frame the kind and strength of its damage, in bursts of 4 to 12 frames, every kind in turn."""
    random = np.random.default_rng(seed)
    plan: list[tuple[str, float] | None] = [None] * spec.frames
    wanted = round(spec.frames * spec.damaged_share)
    kinds = list(random.permutation(sorted(DAMAGES)))
    burst, attempts = 0, 0
    while (left := wanted - sum(item is not None for item in plan)) > 0 and attempts < 1000:
        attempts += 1
        length = min(left, int(random.integers(_BURST_FRAMES[0], _BURST_FRAMES[1] + 1)))
        start = int(random.integers(0, spec.frames - length + 1))
        around = plan[max(0, start - 2) : start + length + 2]
        if any(item is not None for item in around):
            continue
        kind = str(kinds[burst % len(kinds)])
        weakest, strongest = DAMAGES[kind]
        strength = float(weakest + (strongest - weakest) * random.random())
        plan[start : start + length] = [(kind, strength)] * length
        burst += 1
    return plan


def make_video(photograph: Picture, spec: VideoSpec, seed: int) -> Iterator[CaseFrame]:
    """Yield the frames of a camera that moves over ``photograph`` (uint8 RGB), the same for the same seed.

    Every frame has sensor noise of two grey levels and is coded as JPEG of quality 90; damage is done in between, as
    light, lens and motion do it before the camera codes. Raises InvalidInput where the photograph is too small.
    """
    window = _scaled(photograph, spec)
    room_y, room_x = window.shape[0] - spec.height, window.shape[1] - spec.width
    if room_x < 8 or room_y < 8:
        raise InvalidInput(f"The photograph is too small for a video of {spec.width}x{spec.height}")
    phase = float(np.random.default_rng(seed).uniform(0, 2 * math.pi))
    for number, damage in enumerate(damage_plan(spec, seed)):
        angle = 2 * math.pi * number / spec.frames
        left = room_x * (0.5 + 0.5 * math.sin(angle + phase))
        top = room_y * (0.5 + 0.5 * math.sin(2 * angle + phase / 2))
        frame_seed = seed * 100_003 + number
        picture = _crop(window, left, top, spec)
        if damage is not None:
            picture = distort(picture, damage[0], damage[1], frame_seed)
        picture = distort(picture, "noise", _CAMERA_NOISE, frame_seed + 1)
        yield CaseFrame(distort(picture, "jpeg", _CAMERA_JPEG, 0), None if damage is None else damage[0])


def _scaled(photograph: Picture, spec: VideoSpec) -> Picture:
    """Shrink a large photograph so that a frame shows about two thirds of its side."""
    import cv2

    height, width = photograph.shape[:2]
    factor = max(spec.width * 1.5 / width, spec.height * 1.5 / height)
    if factor >= 1:
        return photograph
    size = (math.ceil(width * factor), math.ceil(height * factor))
    return np.asarray(cv2.resize(photograph, size, interpolation=cv2.INTER_AREA), np.uint8)


def _crop(window: Picture, left: float, top: float, spec: VideoSpec) -> Picture:
    """Cut out a frame at a place between pixels, as a moving camera sees it."""
    import cv2

    centre = (left + (spec.width - 1) / 2, top + (spec.height - 1) / 2)
    return np.asarray(cv2.getRectSubPix(window, (spec.width, spec.height), centre), np.uint8)
