"""Cuts are found; motion, noise and brightness drift are not cuts."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_iqa.camera.policy_spec import SceneChangeRule
from edge_iqa.camera.scene_change import SceneChangeDetector, thumbnail

Pixels = NDArray[np.uint8]


def scene(seed: int, shift: int = 0, height: int = 240, width: int = 320) -> Pixels:
    """Return large random patches, moved to the left by ``shift`` pixels."""
    patches = np.random.default_rng(seed).integers(0, 256, (6, 40, 3), dtype=np.uint8)
    wide = np.kron(patches, np.ones((height // 6, 40, 1), dtype=np.uint8))
    return np.ascontiguousarray(wide[:, shift : shift + width])


def changes(frames: list[Pixels], rule: SceneChangeRule | None = None) -> list[int]:
    detector = SceneChangeDetector(rule or SceneChangeRule())
    return [number for number, frame in enumerate(frames) if detector.changed(frame)]


def test_cut_is_found_where_it_is() -> None:
    frames = [scene(1)] * 5 + [scene(2)] * 5
    assert changes(frames) == [5]


def test_pan_is_one_scene() -> None:
    assert changes([scene(3, shift=4 * step) for step in range(60)]) == []


def test_cut_within_a_pan_is_found() -> None:
    frames = [scene(3, shift=4 * step) for step in range(20)] + [scene(9, shift=4 * step) for step in range(20)]
    assert changes(frames) == [20]


def test_noise_and_slow_dusk_are_no_cut() -> None:
    random = np.random.default_rng(0)
    frames = []
    for step in range(40):
        noisy = scene(4) * (1 - step / 50) + random.normal(0, 25, (240, 320, 3))
        frames.append(noisy.clip(0, 255).astype(np.uint8))
    assert changes(frames) == []


def test_light_switched_off_is_a_change() -> None:
    bright = np.full((120, 160, 3), 180, dtype=np.uint8)
    assert changes([bright, bright, bright // 6, bright // 6]) == [2]


def test_resolution_may_change_within_a_scene() -> None:
    large = scene(5)
    small = np.ascontiguousarray(large[::2, ::2])
    assert changes([large, large, small, small, large]) == []


@pytest.mark.parametrize("size", [(1, 1), (3, 500), (2160, 3840)])
def test_any_size_gives_a_thumbnail(size: tuple[int, int]) -> None:
    assert thumbnail(np.full((*size, 3), 77, dtype=np.uint8)) == pytest.approx(np.full((32, 32), 77))


def test_difference_decides_what_counts() -> None:
    frames = [np.full((64, 64, 3), level, dtype=np.uint8) for level in (100, 130)]
    assert changes(frames, SceneChangeRule(difference=0.1)) == [1]
    assert changes(frames, SceneChangeRule(difference=0.2)) == []
