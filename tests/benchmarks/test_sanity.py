"""The sanity set passes a measure that sees what people see, and fails those that like noise or nothing at all."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edge_iqa.benchmarks import sanity
from edge_iqa.benchmarks.baselines import laplacian_variance
from edge_iqa.benchmarks.sanity import SanityLine, run_sanity
from edge_iqa.errors import ImageError

Picture = NDArray[np.uint8]


@pytest.fixture(scope="module")
def photographs() -> list[Picture]:
    """Return two pictures with structure at several scales, seeded."""
    random = np.random.default_rng(0)
    made = []
    for _ in range(2):
        picture = np.full((96, 128, 3), 120.0)
        for side in (6, 12, 24, 48):
            coarse = random.normal(0.0, 18.0, (96 // side + 1, 128 // side + 1, 3)).astype(np.float32)
            picture += cv2.resize(coarse, (128, 96), interpolation=cv2.INTER_CUBIC)
        made.append(np.clip(picture, 0, 255).astype(np.uint8))
    return made


def by_name(lines: list[SanityLine]) -> dict[str, bool]:
    return {line.name: line.passed for line in lines}


def test_lines_of_several_measures(photographs: list[Picture], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sanity, "DEGRADATIONS", ("gaublur", "whitenoise"))
    seen = []

    def constant(picture: Picture) -> float:
        seen.append(picture.shape)
        return 0.5

    def darkness(picture: Picture) -> float:
        if int(np.ptp(picture)) == 0:
            raise ImageError("flat")
        return 255.0 - float(picture.mean())

    sharp, same, dark = (by_name(lines) for lines in run_sanity([laplacian_variance, constant, darkness], photographs))
    assert sharp["one picture, one score"]
    assert sharp["flat black below every photograph"]
    assert sharp["gaublur lowers the score"]
    assert not sharp["uniform colour noise below every photograph"]
    assert not sharp["whitenoise lowers the score"]
    assert [name for name, passed in same.items() if passed] == ["one picture, one score"]
    assert dark["flat black below every photograph"]  # refused, so it counts as scored lowest
    assert len(seen) == 2 + 1 + 7 + 2 * 2 * 2


def test_a_measure_that_changes_its_mind_is_found(photographs: list[Picture], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sanity, "DEGRADATIONS", ())
    calls = iter(range(1000))
    (lines,) = run_sanity([lambda _: float(next(calls))], photographs)
    assert not by_name(lines)["one picture, one score"]


def test_the_photographs_of_the_tool_are_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sanity, "DEGRADATIONS", ())
    shapes: list[tuple[int, ...]] = []

    def measure(picture: Picture) -> float:
        shapes.append(picture.shape)
        return float(picture.std())

    run_sanity([measure])
    assert len(shapes) == 10 + 1 + 7
    assert set(shapes[:10]) == {(512, 512, 3)}
