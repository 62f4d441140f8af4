"""The pictures of a benchmark: a folder's, the embedded ones, their distortions, what is left out."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_iqa.benchmarks.distortions import VARIANTS, distort
from edge_iqa.benchmarks.pictures import PictureSet, collect_pictures
from edge_iqa.errors import InvalidInput


def picture(seed: int, height: int = 40, width: int = 60) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def fill(folder: Path, count: int) -> Path:
    folder.mkdir(exist_ok=True)
    for index in range(count):
        cv2.imwrite(str(folder / f"{index:02d}.png"), picture(index))
    return folder


def test_a_folder_with_a_broken_file(tmp_path: Path) -> None:
    folder = fill(tmp_path / "in", 3)
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    (folder / "notes.txt").write_text("not a picture")
    found = collect_pictures(folder, 300, seed=0)
    assert [entry.name for entry in found.pictures] == ["00.png", "01.png", "02.png"]
    assert len(found.failed) == 1
    assert str(tmp_path) not in "".join(entry.name for entry in found.pictures)
    assert np.array_equal(found.pictures[1].load(), picture(1)[:, :, ::-1])


def test_a_sample_of_a_larger_folder_follows_the_seed(tmp_path: Path) -> None:
    folder = fill(tmp_path / "in", 12)

    def names(seed: int) -> list[str]:
        return [entry.name for entry in collect_pictures(folder, 5, seed).pictures]

    assert len(names(0)) == 5
    assert names(0) == names(0)
    assert names(0) != names(1)


def test_the_hash_is_that_of_the_content(tmp_path: Path) -> None:
    first, same, other = (fill(tmp_path / name, 3) for name in ("a", "b", "c"))
    cv2.imwrite(str(other / "02.png"), picture(99))
    hashes = [collect_pictures(folder, 300, 0).sha256 for folder in (first, same, other)]
    assert hashes[0] == hashes[1] != hashes[2]


@pytest.mark.parametrize("name", ["missing", "empty"])
def test_a_folder_without_pictures_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidInput):
        collect_pictures(tmp_path / name, 300, 0)


def test_embedded_photographs_come_with_distortions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = fill(tmp_path / "in", 2)
    monkeypatch.setattr("edge_iqa.benchmarks.pictures.embedded_photographs", lambda: folder)
    found = collect_pictures(None, 300, seed=0)
    assert len(found.pictures) == 2 * (1 + len(VARIANTS))
    assert len(collect_pictures(None, 7, seed=0).pictures) == 7
    assert collect_pictures(None, 300, seed=1).sha256 != found.sha256
    assert all(entry.load().shape == (40, 60, 3) for entry in found.pictures)


def test_pictures_for_timing_are_spread_and_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = collect_pictures(fill(tmp_path / "in", 12), 300, 0)
    assert [entry.name for entry in found.for_timing(3)] == ["00.png", "06.png", "11.png"]
    assert len(found.for_timing(50)) == 12
    monkeypatch.setattr("edge_iqa.benchmarks.pictures.TIMING_BYTES", 3 * 40 * 60 * 3)
    assert len(found.for_timing(12)) == 3
    monkeypatch.setattr("edge_iqa.benchmarks.pictures.TIMING_BYTES", 1)
    assert len(PictureSet("folder", found.pictures, (), "").for_timing(12)) == 1


@pytest.mark.parametrize(("name", "strength"), VARIANTS)
def test_a_distortion_changes_the_picture_and_repeats_itself(name: str, strength: float) -> None:
    original = picture(0)
    before = original.copy()
    changed = distort(original, name, strength, seed=5)
    assert np.array_equal(original, before)
    assert changed.shape == original.shape
    assert changed.dtype == np.uint8
    assert not np.array_equal(changed, original)
    assert np.array_equal(changed, distort(original, name, strength, seed=5))


def test_an_unknown_distortion_is_refused() -> None:
    with pytest.raises(InvalidInput, match="sepia"):
        distort(picture(0), "sepia", 1.0, 0)
