"""The degradations are seeded, in range, ordered by level, and mended where the published ones fail."""

from __future__ import annotations

import dataclasses
import itertools
import math
from typing import Any

import cv2
import numpy as np
import pytest

from edge_iqa.errors import InvalidInput
from edge_iqa.models.degradations import (
    CAMERA_GROUPS,
    DEGRADATIONS,
    GROUPS,
    LEVEL_PROBABILITIES,
    PUBLISHED_GROUPS,
    Image,
    Step,
    apply_steps,
    contact_sheet,
    degrade,
    draw_steps,
)
from edge_iqa.models.degradations.base import pixel_scale
from edge_iqa.models.degradations.filters import disc_kernel, path_kernel, smooth

NAMES = tuple(DEGRADATIONS)
LEVELS = range(1, 6)


def make_scene(height: int = 192, width: int = 256) -> Image:
    """Colourful natural-like picture: noise with a 1/f spectrum, as photographs have, and some hard edges."""
    rng = np.random.default_rng(7)
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None, :])
    frequency[0, 0] = np.inf
    planes = []
    for _ in range(2):
        spectrum = np.fft.rfft2(rng.normal(size=(height, width))) / frequency**1.2
        planes.append(np.fft.irfft2(spectrum, (height, width)))
    light, hue = (plane / plane.std() for plane in planes)
    scene = 0.5 + 0.12 * light[:, :, None] + 0.06 * hue[:, :, None] * np.array([1.0, 0.1, -1.0])
    for _ in range(12):
        top, left = int(rng.integers(0, height - 36)), int(rng.integers(0, width - 28))
        scene[top : top + 36, left : left + 28] += rng.uniform(-0.3, 0.3, 3)
    return np.asarray(np.clip(scene, 0.02, 0.98), dtype=np.float32)


SCENE = make_scene()


def distance(first: Image, second: Image) -> float:
    return float(np.sqrt(np.mean((first.astype(np.float64) - second) ** 2)))


def test_the_24_published_degradations_and_the_camera_ones_are_registered() -> None:
    published = [item for item in DEGRADATIONS.values() if item.group in PUBLISHED_GROUPS]
    assert len(published) == 24
    assert len(PUBLISHED_GROUPS) == 7
    camera = {item.name for item in DEGRADATIONS.values() if item.group in CAMERA_GROUPS}
    assert {"lowlight", "haze", "lensflare", "motionpath", "defocus", "banding", "video"} <= camera
    assert {"underwater", "overexposure", "sensornoise", "downscale", "denoise"} <= camera
    assert set(GROUPS) == {item.group for item in DEGRADATIONS.values()}
    assert all(name == item.name for name, item in DEGRADATIONS.items())


@pytest.mark.parametrize("name", NAMES)
def test_same_seed_gives_the_same_valid_picture_and_leaves_the_input_alone(name: str) -> None:
    scene = SCENE.copy()
    for level in (1, 5):
        result = degrade(scene, name, level, seed=3)
        assert result.dtype == np.float32
        assert result.shape == scene.shape
        assert result.flags["C_CONTIGUOUS"]
        assert float(result.min()) >= 0.0
        assert float(result.max()) <= 1.0
        assert not np.shares_memory(result, scene)
        np.testing.assert_array_equal(result, degrade(scene, name, level, seed=3))
    np.testing.assert_array_equal(scene, SCENE)


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("name", NAMES)
def test_damage_grows_with_the_level_and_the_first_level_is_no_tie(name: str, seed: int) -> None:
    distances = [distance(degrade(SCENE, name, level, seed), SCENE) for level in LEVELS]
    assert distances[0] > 0.008, distances
    assert all(after > 1.02 * before for before, after in itertools.pairwise(distances)), distances


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", [(16, 16), (1, 1), (37, 53), (9, 140)])
def test_tiny_odd_and_flat_pictures(name: str, shape: tuple[int, int]) -> None:
    textured = np.ascontiguousarray(make_scene(64, 140)[: shape[0], : shape[1]])
    flat = np.full((*shape, 3), 0.4, dtype=np.float32)
    for image in (textured, flat, np.zeros_like(flat), np.ones_like(flat)):
        for level in LEVELS:
            result = degrade(image, name, level, seed=5)
            assert result.shape == image.shape
            assert bool(np.isfinite(result).all())
            assert 0.0 <= float(result.min()) <= float(result.max()) <= 1.0


@pytest.mark.parametrize(
    "name",
    ["gaublur", "lensblur", "motionblur", "jitter", "colorshift", "noneccpatch", "pixelate", "motionpath"],
)
def test_a_flat_picture_has_nothing_to_lose_to_blur_and_displacement(name: str) -> None:
    flat = np.full((40, 40, 3), 0.4, dtype=np.float32)
    np.testing.assert_allclose(degrade(flat, name, 5, seed=1), flat, atol=2e-4)


def test_views_with_strides_are_accepted() -> None:
    mirrored = SCENE[:, ::-1]
    for name in NAMES:
        np.testing.assert_array_equal(
            degrade(mirrored, name, 3, seed=2), degrade(np.ascontiguousarray(mirrored), name, 3, seed=2)
        )


@pytest.mark.parametrize("name", ["whitenoise", "motionblur", "noneccpatch", "colorblock", "haze", "sensornoise"])
def test_seeds_differ(name: str) -> None:
    assert distance(degrade(SCENE, name, 3, seed=0), degrade(SCENE, name, 3, seed=1)) > 1e-3


def test_the_noise_field_is_shared_by_the_levels() -> None:
    grey = np.full((64, 64, 3), 0.5, dtype=np.float32)
    weak = degrade(grey, "whitenoise", 1, seed=4) - grey
    strong = degrade(grey, "whitenoise", 5, seed=4) - grey
    np.testing.assert_allclose(strong, weak * math.sqrt(10.0), atol=1e-5)


def test_impulses_and_blocks_of_one_level_stay_at_the_next() -> None:
    for name in ("impulsenoise", "colorblock"):
        before = SCENE
        hit_before = np.zeros(SCENE.shape, dtype=bool)
        for level in LEVELS:
            after = degrade(SCENE, name, level, seed=6)
            np.testing.assert_array_equal(after[hit_before], before[hit_before])
            hit = after != SCENE
            assert bool((hit_before <= hit).all())
            before, hit_before = after, hit


@pytest.mark.parametrize("name", ["meanshift", "lincontrchange"])
def test_direction_is_one_for_all_levels_of_a_seed_and_both_occur(name: str) -> None:
    ramp = np.repeat(np.linspace(0.3, 0.7, 64, dtype=np.float32)[None, :, None], 16, axis=0).repeat(3, axis=2)
    directions = set()
    for seed in range(12):
        changes = []
        for level in LEVELS:
            result = degrade(ramp, name, level, seed)
            changes.append(
                float(result.mean() - ramp.mean()) if name == "meanshift" else float(result.std() - ramp.std())
            )
        signs = {change > 0 for change in changes}
        assert len(signs) == 1, changes
        assert all(abs(b) > abs(a) for a, b in itertools.pairwise(changes))
        directions |= signs
    assert directions == {True, False}


def test_full_desaturation_ends_grey_and_keeps_the_hue_before() -> None:
    grey = degrade(SCENE, "colorsat1", 5, seed=0)
    assert float((grey.max(axis=2) - grey.min(axis=2)).max()) < 1e-6
    weak = degrade(SCENE, "colorsat1", 3, seed=0)
    colorful = (SCENE.max(axis=2) - SCENE.min(axis=2)) > 0.1
    np.testing.assert_array_equal(weak.argmax(axis=2)[colorful], SCENE.argmax(axis=2)[colorful])


def test_nonlinear_contrast_is_not_a_line() -> None:
    ramp = np.repeat(np.linspace(0.0, 1.0, 101, dtype=np.float32)[None, :, None], 3, axis=2)
    curve = degrade(ramp, "nonlincontrchange", 1, seed=0)[0, :, 0]
    assert float(curve[0]) == pytest.approx(0.1, abs=1e-5)
    assert float(curve[-1]) == pytest.approx(0.9, abs=1e-5)
    slopes = np.diff(curve)
    assert slopes.max() > 1.5 * slopes.min() > 0.0


@pytest.mark.parametrize("radius", [0.3, 0.75, 1.0, 1.5, 2.0, 4.0, 6.0, 8.0, 11.3])
def test_disc_kernel_is_a_disc(radius: float) -> None:
    kernel = disc_kernel(radius)
    assert float(kernel.min()) >= 0.0
    assert float(kernel.sum(dtype=np.float64)) == pytest.approx(1.0, abs=1e-6)
    np.testing.assert_allclose(kernel, kernel.T)
    np.testing.assert_allclose(kernel, kernel[::-1])
    if radius >= 1.5:
        peak = float(kernel.max())
        assert peak == pytest.approx(1.0 / (math.pi * radius**2), rel=0.03)
        half = kernel.shape[0] // 2
        offsets = np.arange(-half, half + 1, dtype=np.float64)
        spread = float((kernel * offsets[None, :] ** 2).sum())
        assert spread == pytest.approx(radius**2 / 4.0 + 1.0 / 12.0, rel=0.15)


def test_path_kernel_is_centred_and_normalised() -> None:
    points = np.stack([np.linspace(5.0, 11.0, 61), np.zeros(61)], axis=1)
    kernel = path_kernel(points)
    assert float(kernel.min()) >= 0.0
    assert float(kernel.sum()) == pytest.approx(1.0, abs=1e-5)
    half = kernel.shape[0] // 2
    columns = np.arange(-half, half + 1)
    assert float((kernel.sum(axis=0) * columns).sum()) == pytest.approx(0.0, abs=1e-5)
    assert float(kernel[half].sum()) == pytest.approx(1.0, abs=1e-5)


def test_wide_low_pass_is_close_to_a_gaussian() -> None:
    exact = cv2.GaussianBlur(SCENE, (0, 0), 9.0, borderType=cv2.BORDER_REPLICATE)
    assert distance(smooth(SCENE, 9.0), exact) < 0.1 * distance(SCENE, exact)


def test_pixel_parameters_follow_the_size() -> None:
    assert pixel_scale(np.zeros((512, 700, 3), dtype=np.float32)) == 1.0
    assert pixel_scale(np.zeros((2048, 1024, 3), dtype=np.float32)) == 2.0
    assert pixel_scale(np.zeros((16, 16, 3), dtype=np.float32)) == 0.5
    large = cv2.resize(make_scene(512, 512), (1024, 1024), interpolation=cv2.INTER_CUBIC).clip(0.0, 1.0)
    small = cv2.resize(large, (512, 512), interpolation=cv2.INTER_AREA)
    shrunk = cv2.resize(degrade(large, "gaublur", 5, 0), (512, 512), interpolation=cv2.INTER_AREA)
    assert distance(shrunk, degrade(small, "gaublur", 5, 0)) < 0.1 * distance(shrunk, small)


def test_level_zero_is_a_copy() -> None:
    result = degrade(SCENE, "jpeg", 0, seed=0)
    np.testing.assert_array_equal(result, SCENE)
    assert not np.shares_memory(result, SCENE)


@pytest.mark.parametrize(
    ("name", "level", "seed"),
    [
        ("nosuch", 1, 0),
        (7, 1, 0),
        ("jpeg", 6, 0),
        ("jpeg", -1, 0),
        ("jpeg", 1.5, 0),
        ("jpeg", True, 0),
        ("jpeg", 1, -1),
        ("jpeg", 1, "0"),
    ],
)
def test_unknown_names_levels_and_seeds_are_refused(name: Any, level: Any, seed: Any) -> None:
    with pytest.raises(InvalidInput) as caught:
        degrade(SCENE, name, level, seed)
    assert caught.value.why
    assert caught.value.fix


@pytest.mark.parametrize(
    "image",
    [
        SCENE.astype(np.float64),
        (SCENE * 255).astype(np.uint8),
        SCENE[:, :, 0],
        SCENE[:, :, :2],
        SCENE[:0],
        SCENE * np.float32(255.0),
        SCENE - np.float32(0.5),
        np.full((4, 4, 3), np.nan, dtype=np.float32),
        SCENE.tolist(),
    ],
)
@pytest.mark.parametrize("level", [0, 2])
def test_other_pictures_are_refused(image: Any, level: int) -> None:
    with pytest.raises(InvalidInput):
        degrade(image, "jpeg", level, seed=0)


def test_steps_are_applied_in_order() -> None:
    steps = (Step("gaublur", 3, 1), Step("whitenoise", 2, 5))
    expected = degrade(degrade(SCENE, "gaublur", 3, 1), "whitenoise", 2, 5)
    np.testing.assert_array_equal(apply_steps(SCENE, steps), expected)
    assert distance(apply_steps(SCENE, steps[::-1]), expected) > 1e-3
    untouched = apply_steps(SCENE, ())
    np.testing.assert_array_equal(untouched, SCENE)
    assert not np.shares_memory(untouched, SCENE)


def test_records_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Step("jpeg", 1, 0).level = 2  # type: ignore[misc]
    with pytest.raises(dataclasses.FrozenInstanceError):
        DEGRADATIONS["jpeg"].group = "other"  # type: ignore[misc]


def test_drawn_steps_have_distinct_groups_uniform_counts_and_half_gaussian_levels() -> None:
    rng = np.random.default_rng(11)
    draws = [draw_steps(rng) for _ in range(4000)]
    counts = np.bincount([len(steps) for steps in draws], minlength=5)[1:]
    np.testing.assert_allclose(counts / len(draws), 0.25, atol=0.03)
    for steps in draws:
        groups = [DEGRADATIONS[step.name].group for step in steps]
        assert len(set(groups)) == len(groups)
    levels = np.array([step.level for steps in draws for step in steps])
    shares = np.bincount(levels, minlength=6)[1:] / len(levels)
    np.testing.assert_allclose(LEVEL_PROBABILITIES, (0.293, 0.270, 0.213, 0.143, 0.081), atol=5e-4)
    np.testing.assert_allclose(shares, LEVEL_PROBABILITIES, atol=0.015)
    assert {step.name for steps in draws for step in steps} == set(NAMES)
    assert len({step.seed for steps in draws for step in steps}) > 0.99 * len(levels)


def test_draws_are_reproducible_and_limited_to_groups() -> None:
    first = draw_steps(np.random.default_rng(5))
    assert first == draw_steps(np.random.default_rng(5))
    rng = np.random.default_rng(6)
    for _ in range(200):
        steps = draw_steps(rng, max_steps=7, groups=("blur", "noise"))
        assert 1 <= len(steps) <= 2
        assert {DEGRADATIONS[step.name].group for step in steps} <= {"blur", "noise"}


@pytest.mark.parametrize("arguments", [{"groups": ("blur", "nosuch")}, {"groups": ()}, {"max_steps": 0}])
def test_impossible_draws_are_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        draw_steps(np.random.default_rng(0), **arguments)


def test_contact_sheet_has_a_row_for_each_name_and_a_column_for_each_level() -> None:
    one = contact_sheet(SCENE, names=("gaublur",))
    two = contact_sheet(SCENE, names=("gaublur", "jpeg"), seed=1)
    assert one.dtype == np.uint8
    assert two.shape == (2 * one.shape[0], one.shape[1], 3)
    assert one.shape[1] % 6 == 0
    assert one.shape[1] >= 6 * SCENE.shape[1]
    with pytest.raises(InvalidInput):
        contact_sheet(SCENE, names=("nosuch",))
