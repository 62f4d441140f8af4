"""Camera group for processing (ours): sensor noise, denoising, rescaling and video coding."""

from __future__ import annotations

import cv2
import numpy as np

from edge_iqa.models.degradations.base import Degradation, Image, pixel_scale, scaled_px
from edge_iqa.models.degradations.compression import encode_decode
from edge_iqa.models.degradations.filters import as_image, gaussian, luma, resize

_GRAIN_SIGMA_PX = 0.6
_BLOTCH_SIGMA_PX = 2.5
_WINDOW_RADIUS_PX = 4.0
_INTERPOLATIONS = (cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_LANCZOS4)
_VIDEO_RUNGS = ((40.0, 1.0), (20.0, 0.85), (10.0, 0.7), (4.0, 0.55), (1.0, 0.4))


def _unit(field: Image) -> Image:
    """The field with a standard deviation of one."""
    return field / np.float32(max(float(field.std()), 1e-6))


def sensor_noise(image: Image, sigma: float, rng: np.random.Generator) -> Image:
    """Noise as a phone's pipeline leaves it: grain over a pixel wide and colour blotches, strong in shadows.

    `sigma` is the deviation of the luma grain at mid grey. Grain is white noise low-passed with sigma 0.6 px
    (what demosaicing does); Cb and Cr get blotches of sigma 2.5 px (at 512) besides. Both follow
    sqrt(0.25 + 0.9 (1 - luma)^2), a model of shot and read noise after the tone curve. One field for a seed.
    """
    height, width = image.shape[:2]
    scale = pixel_scale(image)
    grain = _unit(gaussian(rng.standard_normal((height, width), dtype=np.float32), _GRAIN_SIGMA_PX))
    half_height, half_width = max(1, height // 2), max(1, width // 2)
    coarse = rng.standard_normal((half_height, half_width, 2), dtype=np.float32)
    blotches = _unit(resize(gaussian(coarse, _BLOTCH_SIGMA_PX * scale / 2.0), width, height))
    fine_chroma = _unit(resize(coarse, width, height))
    chroma = np.float32(0.4) * blotches + np.float32(0.15) * fine_chroma
    shadow = 1.0 - luma(image)
    strength = np.float32(sigma) * np.sqrt(np.float32(0.25) + np.float32(0.9) * shadow * shadow)
    grain = grain * strength
    chroma = chroma * strength[:, :, None]
    noise = np.empty_like(image)
    noise[:, :, 0] = grain + np.float32(1.402) * chroma[:, :, 1]
    noise[:, :, 1] = grain - np.float32(0.344) * chroma[:, :, 0] - np.float32(0.714) * chroma[:, :, 1]
    noise[:, :, 2] = grain + np.float32(1.772) * chroma[:, :, 0]
    return image + noise


def denoise(image: Image, deviation: float, rng: np.random.Generator) -> Image:
    """Over-smoothing noise removal: texture below a contrast of `deviation` is wiped out, edges stay.

    A guided filter (He et al., ECCV 2010) with the luma as guide, radius 4 (at 512 pixels) and epsilon
    `deviation`^2; colour is smoothed in a window twice as wide.
    """
    guide = luma(image)
    radius = scaled_px(image, _WINDOW_RADIUS_PX)
    epsilon = deviation**2
    smooth_light = _guided(guide, guide[:, :, None], radius, epsilon)
    smooth_color = _guided(guide, image - guide[:, :, None], 2 * radius, 4.0 * epsilon)
    return smooth_light + smooth_color


def _guided(guide: Image, values: Image, radius_px: int, epsilon: float) -> Image:
    """Guided filter of `values` (H, W, C) along `guide` (H, W)."""
    window = (2 * radius_px + 1, 2 * radius_px + 1)

    def mean(array: Image) -> Image:
        averaged = as_image(cv2.blur(array, window, borderType=cv2.BORDER_REPLICATE))
        return averaged[:, :, None] if averaged.ndim == 2 else averaged

    guide_mean = mean(guide)
    guide_variance = mean(guide * guide) - guide_mean * guide_mean
    values_mean = mean(values)
    covariance = mean(guide[:, :, None] * values) - guide_mean * values_mean
    slope = covariance / (np.maximum(guide_variance, 0.0) + np.float32(epsilon))
    offset = values_mean - slope * guide_mean
    return mean(np.ascontiguousarray(slope)) * guide[:, :, None] + mean(np.ascontiguousarray(offset))


def downscale(image: Image, factor: float, rng: np.random.Generator) -> Image:
    """Shrink by `factor` with area averaging and enlarge again: digital zoom, thumbnails shown large.

    The enlarging filter (linear, cubic or Lanczos) is drawn once for a seed.
    """
    interpolation = _INTERPOLATIONS[int(rng.integers(len(_INTERPOLATIONS)))]
    height, width = image.shape[:2]
    small_width, small_height = max(1, round(width / factor)), max(1, round(height / factor))
    small = resize(image, small_width, small_height, cv2.INTER_AREA)
    return resize(small, width, height, interpolation)


def video(image: Image, rung: float, rng: np.random.Generator) -> Image:
    """A key frame of a starved stream: rung 1..5 of a ladder of quality and internal resolution.

    The codec is VP8's intra coding (4:2:0 chroma, block prediction, loop filter) as lossy WebP holds it; the
    rungs are quality 40, 20, 10, 4, 1 at 1, 0.85, 0.7, 0.55, 0.4 of the size, enlarged linearly again.
    """
    quality, size = _VIDEO_RUNGS[int(rung) - 1]
    height, width = image.shape[:2]
    small = resize(image, max(1, round(width * size)), max(1, round(height * size)), cv2.INTER_AREA)
    coded = encode_decode(small, ".webp", [cv2.IMWRITE_WEBP_QUALITY, int(quality)])
    return resize(coded, width, height)


PIPELINE = (
    Degradation("sensornoise", "camera_noise", (0.013, 0.025, 0.04, 0.06, 0.09), "camera noise, sigma", sensor_noise),
    Degradation("denoise", "camera_noise", (0.03, 0.06, 0.1, 0.17, 0.3), "texture wiped out, contrast", denoise),
    Degradation("downscale", "camera_coding", (1.5, 2.0, 3.0, 4.0, 6.0), "shrunk and enlarged, factor", downscale),
    Degradation("video", "camera_coding", (1.0, 2.0, 3.0, 4.0, 5.0), "starved video, rung", video),
)
