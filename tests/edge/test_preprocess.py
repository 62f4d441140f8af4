"""Any picture becomes the network's input: covered or shrunk, its middle cropped, area or bilinear."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge_iqa.errors import InvalidInput
from edge_iqa.preprocess import PreprocessSpec, input_spec, preprocess

SPEC = PreprocessSpec(height=24, width=32)
MIDDLE = input_spec(24, 32, shorter_side=48)


def noise(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@settings(max_examples=60, deadline=None)
@given(height=st.integers(1, 300), width=st.integers(1, 300), spec=st.sampled_from((SPEC, MIDDLE)))
def test_every_size_gives_the_input_tensor(height: int, width: int, spec: PreprocessSpec) -> None:
    image = np.full((height, width, 3), (10, 120, 250), np.uint8)
    tensor = preprocess(image, spec)
    assert tensor.shape == (1, 24, 32, 3)
    assert tensor.dtype == np.uint8
    assert tensor.flags.c_contiguous
    assert (tensor == (10, 120, 250)).all()  # a flat picture stays flat, its channels in order


@pytest.mark.parametrize("size", [(1, 5000), (5000, 1), (1, 1), (3000, 2), (24, 5000)])
def test_extreme_shapes(size: tuple[int, int]) -> None:
    assert preprocess(np.full((*size, 3), 7, np.uint8), SPEC).tolist() == [[[[7] * 3] * 32] * 24]


def test_picture_of_the_input_size_is_untouched_and_copied_only_in_shape() -> None:
    image = noise(24, 32)
    assert np.array_equal(preprocess(image, SPEC)[0], image)


@pytest.mark.parametrize(
    ("height", "width", "rows", "columns"),
    [
        (24, 52, slice(0, 24), slice(10, 42)),
        (44, 32, slice(10, 34), slice(0, 32)),
    ],
)
def test_the_middle_is_kept(height: int, width: int, rows: slice, columns: slice) -> None:
    image = noise(height, width)
    assert np.array_equal(preprocess(image, SPEC)[0], image[rows, columns])


@pytest.mark.parametrize(("height", "width"), [(24, 32), (48, 48), (48, 400), (30, 33), (47, 200)])
def test_a_picture_that_is_not_too_large_gives_its_own_pixels(height: int, width: int) -> None:
    image = noise(height, width)
    top, left = (height - 24) // 2, (width - 32) // 2
    assert np.array_equal(preprocess(image, MIDDLE)[0], image[top : top + 24, left : left + 32])


@pytest.mark.parametrize(("height", "width"), [(96, 96), (96, 300), (500, 96)])
def test_a_large_picture_is_shrunk_to_its_shorter_side_first(height: int, width: int) -> None:
    image = noise(height, width)
    top, left = (height - 48) // 2, (width - 64) // 2
    part = image[top : top + 48, left : left + 64]
    assert np.array_equal(preprocess(image, MIDDLE)[0], cv2.resize(part, (32, 24), interpolation=cv2.INTER_AREA))


def test_a_picture_smaller_than_the_input_is_enlarged_as_without_a_shorter_side() -> None:
    for size in ((12, 100), (100, 20), (5, 5)):
        assert np.array_equal(preprocess(noise(*size), MIDDLE), preprocess(noise(*size), SPEC))


def test_shrinking_averages_areas() -> None:
    image = noise(48, 64)
    means = image.reshape(24, 2, 32, 2, 3).astype(float).mean((1, 3))
    assert np.abs(preprocess(image, SPEC)[0] - means).max() <= 0.5


def test_shrinking_does_not_alias() -> None:
    stripes = np.zeros((240, 320, 3), np.uint8)
    stripes[:, ::2] = 200
    assert np.abs(preprocess(stripes, SPEC).astype(int) - 100).max() <= 1


def test_enlarging_is_bilinear() -> None:
    image = noise(12, 16)
    expected = cv2.resize(image, (32, 24), interpolation=cv2.INTER_LINEAR)
    assert np.array_equal(preprocess(image, SPEC)[0], expected)


def test_input_is_left_alone_and_views_are_taken() -> None:
    image = noise(100, 120)
    view, kept = image[::-1, ::2], image.copy()
    assert np.array_equal(preprocess(view, SPEC), preprocess(np.ascontiguousarray(view), SPEC))
    assert np.array_equal(image, kept)


def test_mirrored_picture_gives_the_mirrored_tensor() -> None:
    image = noise(96, 128)
    assert np.array_equal(preprocess(image[:, ::-1], SPEC), preprocess(image, SPEC)[:, :, ::-1])


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((4, 4, 1), np.uint8),
        np.zeros((1, 4, 4, 3), np.uint8),
        np.zeros((4, 4, 3), np.float32),
        np.zeros((4, 4, 3), np.int8),
        np.zeros((0, 4, 3), np.uint8),
        np.zeros((4, 0, 3), np.uint8),
        [[[0, 0, 0]]],
        None,
    ],
)
def test_other_arrays_are_refused(image: Any) -> None:
    with pytest.raises(InvalidInput, match="image array must"):
        preprocess(image, SPEC)


@pytest.mark.parametrize(
    "wrong",
    [
        {"height": 0},
        {"width": -1},
        {"resize": "stretch"},
        {"shrink": "linear"},
        {"enlarge": "cubic"},
        {"colour": "bgr"},
        {"shorter_side": 48},
        {"resize": "shrink-crop"},
        {"resize": "shrink-crop", "shorter_side": 31},
    ],
)
def test_rules_of_other_versions_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        PreprocessSpec(**{"height": 24, "width": 32, **wrong})
