"""Pictures that are none are told from dark, still and striped ones."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_iqa.camera.health import HealthCheck, HealthSpec
from edge_iqa.camera.test_pattern import PHASE_FRAMES, TestPattern

PATTERN = TestPattern(320, 240, seed=1)


def live() -> HealthCheck:
    return HealthCheck(HealthSpec(), live=True)


def half(picture: NDArray[np.uint8], fill: str) -> NDArray[np.uint8]:
    picture = picture.copy()
    lower = picture[120:]
    lower[:] = {"grey": 128, "green": np.array([0, 135, 0]), "smeared": picture[119]}[fill]
    return picture


@pytest.mark.parametrize("phase", range(4))
def test_every_quality_of_picture_is_a_picture(phase: int) -> None:
    check = live()
    assert all(check.fault(PATTERN.picture(phase * PHASE_FRAMES + n), n / 30) is None for n in range(PHASE_FRAMES))


@pytest.mark.parametrize("fill", ["grey", "green", "smeared"])
def test_the_lower_half_that_did_not_arrive(fill: str) -> None:
    assert live().fault(half(PATTERN.picture(0), fill), 0.0) == "half_frame"
    assert HealthCheck(HealthSpec(), live=False).fault(half(PATTERN.picture(0), fill), 0.0) is None


def test_bars_of_a_wide_film_are_not_half_a_frame() -> None:
    picture = PATTERN.picture(0)
    picture[:29] = picture[-29:] = 0  # 21:9 in 16:9
    assert live().fault(picture, 0.0) is None


def test_an_even_wall_is_not_half_a_frame() -> None:
    wall = np.full((240, 320, 3), 130, np.uint8)
    assert live().fault(wall, 0.0) is None


def test_black_is_black_and_night_is_not() -> None:
    dark = np.random.default_rng(0).integers(0, 9, (240, 320, 3), dtype=np.uint8)
    assert live().fault(dark, 0.0) == "black"
    dark[100:120, 100:120] = 60  # a lamp
    assert live().fault(dark, 0.0) is None


def test_frozen_needs_time_and_ends_with_the_first_change() -> None:
    check, picture = HealthCheck(HealthSpec(frozen_after_s=2.0), live=True), PATTERN.picture(0)
    seen = [check.fault(picture.copy(), n / 10) for n in range(40)]
    assert seen == [None] * 21 + ["frozen"] * 19
    assert check.fault(PATTERN.picture(1), 4.0) is None
    assert check.fault(picture, 4.1) is None


def test_nobody_need_ask_whether_it_is_frozen() -> None:
    check = HealthCheck(HealthSpec(frozen_after_s=None), live=True)
    assert all(check.fault(PATTERN.picture(0), float(second)) is None for second in range(100))


def test_a_frozen_camera_is_to_be_reopened_once_in_a_while() -> None:
    check, picture = HealthCheck(HealthSpec(frozen_after_s=2, frozen_reopen_s=10), live=True), PATTERN.picture(0)
    due = []
    for second in range(40):
        check.fault(picture, float(second))
        if check.reopen_due(float(second)):
            due.append(second)
    assert due == [12, 22, 32]


def test_pictures_of_a_few_pixels_are_no_problem() -> None:
    for shape in ((1, 1, 3), (2, 3, 3), (9, 9, 3)):
        assert live().fault(np.full(shape, 99, np.uint8), 0.0) is None
