"""The camera case: videos repeat, damage is where the plan says, and the figures are what they claim to be."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edge_iqa.benchmarks import camera_case
from edge_iqa.benchmarks.camera_case import LAPLACIAN, RANDOM, Videos, drop_figures, keep_best, main, matches_of
from edge_iqa.benchmarks.camera_case_matches import Features, find_features, inliers, match_figures
from edge_iqa.benchmarks.camera_case_plot import recall_plot
from edge_iqa.benchmarks.camera_case_video import DAMAGES, VideoSpec, damage_plan, make_video
from edge_iqa.errors import InvalidInput

SMALL = VideoSpec(width=96, height=64, frames=30)


def photograph(seed: int = 0, height: int = 120, width: int = 180) -> NDArray[np.uint8]:
    """Return a picture with structure at several scales."""
    random = np.random.default_rng(seed)
    layers = [
        cv2.resize(random.integers(0, 256, (size, size, 3)).astype(np.float32), (width, height)) for size in (4, 12, 40)
    ]
    return np.clip(sum(layers) / 3, 0, 255).astype(np.uint8)


def corners() -> NDArray[np.uint8]:
    """Return a picture of 400 x 600 full of corners that a tracker likes."""
    patches = np.random.default_rng(7).integers(0, 256, (25, 38, 3), dtype=np.uint8)
    return np.ascontiguousarray(np.kron(patches, np.ones((16, 16, 1), dtype=np.uint8))[:400, :600])


def test_plan_damages_the_wanted_share_in_bursts_of_every_kind() -> None:
    spec = VideoSpec(frames=300)
    plan = damage_plan(spec, seed=1)
    kinds = [item[0] for item in plan if item is not None]
    assert len(kinds) == 90
    assert set(kinds) == set(DAMAGES)
    for kind, strength in (item for item in plan if item is not None):
        weakest, strongest = sorted(DAMAGES[kind])
        assert weakest <= strength <= strongest
    starts = sum(now is not None and before is None for before, now in zip([None, *plan], plan, strict=False))
    assert 90 / 12 <= starts <= 90 / 4 + 1


def test_video_repeats_with_its_seed_and_differs_with_another() -> None:
    one, again, other = (list(make_video(photograph(), SMALL, seed)) for seed in (3, 3, 4))
    assert all(np.array_equal(a.pixels, b.pixels) and a.damage == b.damage for a, b in zip(one, again, strict=True))
    assert any(not np.array_equal(a.pixels, b.pixels) for a, b in zip(one, other, strict=True))
    assert len(one) == 30
    assert one[0].pixels.shape == (64, 96, 3)


def test_camera_moves_and_damage_shows() -> None:
    spec = VideoSpec(width=96, height=64, frames=60, damaged_share=0.0)
    clean = [frame.pixels.astype(int) for frame in make_video(photograph(), spec, 5)]
    assert np.abs(clean[0] - clean[15]).mean() > 5
    damaged = list(make_video(photograph(), VideoSpec(width=96, height=64, frames=60, damaged_share=0.3), 5))
    changed = [np.abs(a - b.pixels).mean() > 2 for a, b in zip(clean, damaged, strict=True)]
    assert changed == [frame.damage is not None for frame in damaged]


def test_photograph_that_leaves_no_room_is_refused() -> None:
    with pytest.raises(InvalidInput, match="too small"):
        next(iter(make_video(photograph(height=66, width=98), SMALL, 0)))


def test_every_method_keeps_the_same_share() -> None:
    numbers = np.random.default_rng(0).random(1000)
    assert keep_best(numbers, 0.7).sum() == 700
    assert keep_best(numbers * 1e6 - 5, 0.7).tolist() == keep_best(numbers, 0.7).tolist()
    assert keep_best(numbers, 0.0).sum() == 0


def known() -> Videos:
    damages = [None, "blur", None, "noise", None, "blur", None, None, "noise", None]
    perfect = np.array([1.0 if damage is None else 0.0 for damage in damages]) + np.arange(10) / 100
    fooled = perfect + np.array([2.0 if damage == "noise" else 0.0 for damage in damages])
    empty = Features(np.zeros((0, 2), np.float32), np.zeros((0, 32), np.uint8))
    return Videos({"perfect": perfect, "fooled": fooled}, damages, np.zeros(10, np.int64), [[empty] * 10])


def test_precision_and_recall_of_known_decisions() -> None:
    perfect, fooled = (drop_figures(known(), method, 0.6) for method in ("perfect", "fooled"))
    assert (perfect.precision, perfect.recall, perfect.kept_share) == (1.0, 1.0, pytest.approx(0.6))
    assert (fooled.precision, fooled.recall) == (0.5, 0.5)
    assert fooled.recall_by_kind == {"blur": 1.0, "noise": 0.0}


def test_frames_that_overlap_match_and_blurred_ones_do_not() -> None:
    large = corners()
    one, moved = find_features(large[:300, :450]), find_features(large[10:310, 20:470])
    blurred = find_features(cv2.GaussianBlur(large[10:310, 20:470], (0, 0), 6))
    assert inliers(one, moved) > 60
    assert inliers(one, blurred) < inliers(one, moved) / 4
    assert inliers(one, Features(np.zeros((0, 2), np.float32), np.zeros((0, 32), np.uint8))) == 0


def test_dropping_the_blurred_frames_leaves_no_lost_pair() -> None:
    large = corners()
    sharp = find_features(large[:300, :450])
    blurred = find_features(cv2.GaussianBlur(large[:300, :450], (0, 0), 6))
    video = [[sharp, blurred, sharp, sharp]]
    without, filtered = match_figures(video, [[True] * 4]), match_figures(video, [[True, False, True, True]])
    assert (without.pairs, filtered.pairs) == (3, 2)
    assert without.lost_share == pytest.approx(2 / 3)
    assert filtered.lost_share == 0.0
    assert filtered.mean_inliers > without.mean_inliers


def test_no_pair_is_no_success() -> None:
    assert matches_of(known(), 0.0)["perfect"].lost_share == 1.0


def test_command_writes_tables_json_and_plot(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "photographs"
    folder.mkdir()
    cv2.imwrite(str(folder / "one.png"), photograph(1, 500, 760))
    arguments = ["--photographs", str(folder), "--frames", "30", "--json", str(tmp_path / "case.json")]
    assert main([*arguments, "--plot", str(tmp_path / "case.svg")]) == 0
    printed = capsys.readouterr().out
    assert "| edge-iqa |" in printed
    assert "| all frames |" in printed
    document = json.loads((tmp_path / "case.json").read_text())
    assert (document["schema_version"], document["videos"], document["frames"]) == (1, 1, 30)
    assert {item["method"] for item in document["drops"]} == {camera_case.IQA, LAPLACIAN, RANDOM}
    assert "Laplacian" in (tmp_path / "case.svg").read_text()


def test_folder_without_photographs_is_an_error_of_ours(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--photographs", str(tmp_path)]) == 2
    assert "no photographs" in capsys.readouterr().err


def test_plot_is_xml_and_names_what_it_shows() -> None:
    from xml.etree import ElementTree

    svg = recall_plot({"a <b>": {"blur": 0.5}, "c": {"blur": 1.0, "dark": 0.25}}, "70% kept")
    words = " ".join(item.text or "" for item in ElementTree.fromstring(svg).iter())
    assert all(word in words for word in ("a <b>", "blur", "dark", "25%", "70% kept"))
