"""Camera group for optics and air (ours): defocus, shake, flare, dirt, haze and water."""

from __future__ import annotations

import math

import numpy as np

from edge_iqa.models.degradations.base import Degradation, Image, pixel_scale
from edge_iqa.models.degradations.filters import (
    as_image,
    brightest_channel,
    convolve,
    coordinates,
    disc_kernel,
    from_linear,
    low_noise,
    path_kernel,
    resize,
    smooth,
    to_linear,
)

_PATH_POINTS = 240
_HIGHLIGHT_START = 0.6
_FLARE_SIDE_PX = 128
_DIRT_SPOTS = 9


def defocus(image: Image, radius_px: float, rng: np.random.Generator) -> Image:
    """Disc blur of `radius_px` (at 512 pixels) in linear light, with blooming highlights.

    Light above 0.6 is raised up to threefold before the blur, so bright points grow into discs as they do
    behind a real aperture.
    """
    light = to_linear(image)
    brightest = brightest_channel(light)
    ramp = np.clip((brightest - np.float32(_HIGHLIGHT_START)) / np.float32(1.0 - _HIGHLIGHT_START), 0.0, 1.0)
    bright = light * (1.0 + np.float32(2.0) * ramp * ramp)
    return from_linear(convolve(bright, disc_kernel(radius_px * pixel_scale(image))))


def shake(image: Image, extent_px: float, rng: np.random.Generator) -> Image:
    """Blur in linear light along a smooth random path whose farthest points lie `extent_px` apart (at 512).

    The path, drawn once for a seed, is a steady motion plus three slow oscillations across both axes.
    """
    time = np.linspace(0.0, 1.0, _PATH_POINTS)
    heading = rng.uniform(0.0, 2.0 * math.pi)
    path = time[:, None] * np.array([math.cos(heading), math.sin(heading)])
    for wave in (1, 2, 3):
        size = rng.normal(0.0, 0.35 / wave, 2)
        phase = rng.uniform(0.0, 2.0 * math.pi, 2)
        path = path + size * np.sin(math.pi * wave * time[:, None] + phase)
    gaps = path[::4, None, :] - path[None, ::4, :]
    farthest = math.sqrt(float((gaps**2).sum(axis=2).max()))
    kernel = path_kernel(path * (extent_px * pixel_scale(image) / farthest))
    return from_linear(convolve(to_linear(image), kernel))


def lens_flare(image: Image, amount: float, rng: np.random.Generator) -> Image:
    """Glow, streaks, ghosts and a veil from a lamp in or just outside the picture, added in linear light.

    Place, tint, streak angle and ghosts are drawn once for a seed; `amount` multiplies all of the light.
    """
    height, width = image.shape[:2]
    aspect = width / height
    lamp_x, lamp_y = rng.uniform(-0.1, 1.1), rng.uniform(-0.1, 0.6)
    tint = np.array([1.0, rng.uniform(0.8, 1.0), rng.uniform(0.55, 1.0)], dtype=np.float32)
    streak_angle = rng.uniform(0.0, math.pi)
    ghosts = rng.random((4, 3))
    small_height, small_width = min(height, _FLARE_SIDE_PX), min(width, _FLARE_SIDE_PX)
    x, y = coordinates(small_height, small_width)
    right, down = (x - np.float32(lamp_x)) * np.float32(aspect), y - np.float32(lamp_y)
    distance = np.sqrt(right**2 + down**2)
    flare = 0.8 * np.exp(-distance / 0.12) + 0.35 * np.exp(-distance / 0.45) + 0.08
    for turn in (0.0, math.pi / 2):
        angle = streak_angle + turn
        across = np.abs(right * math.sin(angle) - down * math.cos(angle))
        flare = flare + 0.5 * np.exp(-across / 0.012) * np.exp(-distance / 0.4)
    light = flare[:, :, None] * tint
    for position, size, hue in ghosts:
        ghost_x = lamp_x + (0.5 - lamp_x) * (0.6 + 1.6 * position)
        ghost_y = lamp_y + (0.5 - lamp_y) * (0.6 + 1.6 * position)
        away = np.sqrt(((x - ghost_x) * aspect) ** 2 + (y - ghost_y) ** 2)
        disc = np.clip((0.03 + 0.07 * size - away) / 0.012, 0.0, 1.0)
        light = light + 0.15 * disc[:, :, None] * np.array([1.0 - 0.7 * hue, 0.7, 0.3 + 0.7 * hue])
    full = resize(np.ascontiguousarray(light, dtype=np.float32), width, height)
    return from_linear(to_linear(image) + np.float32(amount) * full)


def lens_dirt(image: Image, amount: float, rng: np.random.Generator) -> Image:
    """Nine smears or drops on the lens: blurred, veiled patches, wider and thicker with `amount` (0..1)."""
    height, width = image.shape[:2]
    aspect = width / height
    spots = rng.random((_DIRT_SPOTS, 4))
    veil = np.float32(rng.uniform(0.25, 0.6))
    x, y = coordinates(height, width)
    thickness = np.zeros((height, width), dtype=np.float32)
    for spot_x, spot_y, size, stretch in spots:
        radius = (0.06 + 0.14 * size) * (0.6 + 0.8 * amount)
        right = (x - np.float32(spot_x)) * np.float32(aspect / (radius * (0.7 + 0.8 * stretch)))
        down = (y - np.float32(spot_y)) * np.float32((0.7 + 0.8 * stretch) / radius)
        np.maximum(thickness, np.clip(1.6 - 1.6 * (right**2 + down**2), 0.0, 1.0), out=thickness)
    weight = (np.float32(min(1.0, 0.45 + 0.55 * amount)) * thickness)[:, :, None]
    smeared = smooth(image, 10.0 * pixel_scale(image))
    behind = smeared + np.float32(0.5) * (veil - smeared)
    return as_image(image + weight * (behind - image))


def haze(image: Image, density: float, rng: np.random.Generator) -> Image:
    """I = J t + A (1 - t) with t = exp(-density * depth) (Koschmieder) on display values.

    There is no depth map: depth falls from a far side (mostly the top) to a near one and wavers with smooth
    noise. Airlight, tilt and noise are drawn once for a seed.
    """
    height, width = image.shape[:2]
    air = np.float32(rng.uniform(0.72, 0.92)) + np.array([-0.03, 0.0, 0.03], dtype=np.float32) * rng.uniform(-1, 1)
    tilt = np.float32(rng.uniform(-0.6, 0.6))
    x, y = coordinates(height, width)
    slope = np.clip(0.5 + (0.5 - y) + tilt * (x - 0.5), 0.0, 1.0)
    depth = 0.35 + 0.45 * slope + 0.2 * low_noise(rng, height, width, 4)
    passed = np.exp(-np.float32(density) * depth)[:, :, None]
    return as_image(image * passed + air * (1.0 - passed))


def underwater(image: Image, path_m: float, rng: np.random.Generator) -> Image:
    """Colour cast of `path_m` metres of water: red is absorbed first and blue-green light scatters back.

    Display values; attenuation for each metre near (0.45, 0.12, 0.08) on R, G, B and the hue of the water are
    drawn once for a seed. Scattering also softens the picture a little.
    """
    drawn = rng.uniform(0.8, 1.2, 3)
    green_share = rng.uniform(0.0, 1.0)
    attenuation = np.array([0.45, 0.12 - 0.04 * green_share, 0.08 + 0.06 * green_share]) * drawn
    water = np.array([0.04, 0.38 + 0.12 * green_share, 0.5 - 0.14 * green_share], dtype=np.float32)
    passed = np.exp(-attenuation * path_m).astype(np.float32)
    scattered = np.float32(1.0 - math.exp(-0.12 * path_m))
    softened = smooth(image, (0.3 + 0.25 * path_m) * pixel_scale(image))
    direct = image + np.float32(min(1.0, 0.12 * path_m)) * (softened - image)
    return direct * passed * (1.0 - np.float32(0.6) * scattered) + water * scattered


OPTICS = (
    Degradation("defocus", "camera_optics", (1.5, 3.0, 5.0, 7.5, 11.0), "out of focus, radius in pixels", defocus),
    Degradation("motionpath", "camera_optics", (4.0, 8.0, 13.0, 19.0, 27.0), "shaken, path in pixels", shake),
    Degradation("lensflare", "camera_optics", (0.1, 0.25, 0.45, 0.75, 1.2), "stray light, amount", lens_flare),
    Degradation("lensdirt", "camera_optics", (0.15, 0.3, 0.5, 0.75, 1.0), "smears on the lens, amount", lens_dirt),
)

MEDIUM = (
    Degradation("haze", "camera_medium", (0.25, 0.5, 0.9, 1.4, 2.1), "fog, optical density", haze),
    Degradation("underwater", "camera_medium", (0.5, 1.0, 2.0, 3.5, 5.5), "water, metres", underwater),
)
