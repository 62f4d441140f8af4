"""NIQE: its fits recover known shapes, distortion raises the distance, and pictures without a value are refused."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edge_iqa.assets import photographs_folder
from edge_iqa.benchmarks.baselines import BASELINES
from edge_iqa.benchmarks.niqe import MODEL, PatchGaussian, distance, fit_gaussian, niqe, pristine_model, read_model
from edge_iqa.benchmarks.niqe_features import fit_aggd, fit_ggd, normalise, patch_statistics
from edge_iqa.benchmarks.niqe_fit import fit_model, main, sharp_features
from edge_iqa.decode import read_image
from edge_iqa.errors import ImageError, InvalidInput, ModelRefused

Picture = NDArray[np.uint8]


@pytest.fixture(scope="module", params=["kodak05", "kodak20", "kodak23"])
def photograph(request: pytest.FixtureRequest) -> Picture:
    return read_image(photographs_folder() / f"{request.param}.jpg")


def blurred(picture: Picture, sigma: float) -> Picture:
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma), np.uint8)


def noisy(picture: Picture, sigma: float) -> Picture:
    noise = np.random.default_rng(0).normal(0, sigma, picture.shape)
    return np.clip(picture + noise, 0, 255).astype(np.uint8)


def compressed(picture: Picture, quality: float) -> Picture:
    _, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, int(quality)])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)


def draw(shape: float, size: tuple[int, int], seed: int) -> NDArray[np.float64]:
    """Draw magnitudes of a generalised Gaussian of scale 1: a power of a gamma variable."""
    return np.random.default_rng(seed).gamma(1 / shape, 1, size) ** (1 / shape)


@pytest.mark.parametrize("shape", [0.7, 1.0, 2.0, 4.0])
def test_ggd_is_recovered(shape: float) -> None:
    signs = np.random.default_rng(1).choice([-1.0, 1.0], (2, 200_000))
    found = fit_ggd(np.array([[0.5], [3.0]]) * signs * draw(shape, (2, 200_000), 0))
    assert found[:, 0] == pytest.approx([shape] * 2, rel=0.03)
    assert found[:, 1] == pytest.approx([0.5, 3.0], rel=0.03)


@pytest.mark.parametrize(("shape", "left", "right"), [(0.8, 0.2, 0.4), (1.0, 1.0, 1.0), (2.0, 3.0, 1.0)])
def test_aggd_is_recovered(shape: float, left: float, right: float) -> None:
    """A side is drawn in proportion to its scale; the mean of what was drawn is the fourth parameter."""
    below = np.random.default_rng(1).random((1, 400_000)) < left / (left + right)
    drawn = draw(shape, (1, 400_000), 0) * np.where(below, -left, right)
    ((found_shape, mean, found_left, found_right),) = fit_aggd(drawn)
    assert (found_shape, found_left, found_right) == pytest.approx((shape, left, right), rel=0.03)
    assert mean == pytest.approx(drawn.mean(), abs=0.02 * (left + right))


def test_coefficients_follow_their_formula() -> None:
    luma = np.random.default_rng(0).integers(0, 256, (15, 17)).astype(np.float64)
    offsets = np.arange(-3, 4)
    line = np.exp(-(offsets**2) / (2 * (7 / 6) ** 2))
    window = np.outer(line, line) / line.sum() ** 2
    block = luma[4:11, 5:12]
    mean = (window * block).sum()
    deviation = np.sqrt((window * (block - mean) ** 2).sum())
    coefficients, deviations = normalise(luma)
    assert deviations[7, 8] == pytest.approx(deviation)
    assert coefficients[7, 8] == pytest.approx((luma[7, 8] - mean) / (deviation + 1))
    assert not normalise(np.full((20, 20), 77.0))[0].any()


def test_patches_are_whole_and_by_rows() -> None:
    luma = np.random.default_rng(0).integers(0, 256, (96 * 2 + 50, 96 * 3 + 1), dtype=np.uint8)
    luma[:96, 96:192] //= 8
    features, sharpness = patch_statistics(luma)
    assert (features.shape, features.dtype, sharpness.shape) == ((6, 36), np.float64, (6,))
    assert sharpness.argmin() == 1
    assert features[0, 0] == pytest.approx(features[5, 0], rel=0.1)
    assert patch_statistics(luma[:95])[0].shape == (0, 36)


def test_a_ramp_has_no_fit() -> None:
    """Its only coefficients are at the border, all of one sign: rounding must not count as the other sign."""
    ramp = np.broadcast_to(np.arange(192, dtype=np.uint8), (192, 192))
    features, _ = patch_statistics(np.ascontiguousarray(ramp))
    assert features.shape == (4, 36)
    assert not np.isfinite(features).all(1).any()


@pytest.mark.parametrize(("damage", "levels"), [(blurred, (1, 2, 4)), (noisy, (8, 16, 32)), (compressed, (40, 20, 8))])
def test_distortion_raises_the_distance(photograph: Picture, damage: object, levels: tuple[float, ...]) -> None:
    assert callable(damage)
    scores = [niqe(photograph), *(niqe(damage(photograph, level)) for level in levels)]
    assert scores == sorted(scores, reverse=True)
    assert 0 >= scores[0] > 2 * scores[-1]


def test_one_picture_one_score(photograph: Picture) -> None:
    assert niqe(photograph) == niqe(photograph.copy())


@pytest.mark.parametrize(
    "picture",
    [np.full((200, 200, 3), 128, np.uint8), np.zeros((96, 96, 3), np.uint8), np.zeros((1, 1, 3), np.uint8)],
    ids=["flat", "black", "pixel"],
)
def test_pictures_without_a_value_are_refused(picture: Picture) -> None:
    with pytest.raises(ImageError, match="no value"):
        niqe(picture)


def test_less_than_a_patch_is_refused_and_one_patch_has_a_value(photograph: Picture) -> None:
    with pytest.raises(ImageError, match="no value"):
        niqe(photograph[:95])
    assert np.isfinite(niqe(photograph[200:296, 200:296]))
    with pytest.raises(InvalidInput):
        niqe(photograph[:, :, 0])


def test_flat_patches_are_left_out(photograph: Picture) -> None:
    beside = np.concatenate([photograph[:192, :192], np.full((192, 96, 3), 255, np.uint8)], axis=1)
    beside[:, 180:] = 255  # nothing of the photograph reaches into the flat patches
    features, _ = patch_statistics(cv2.cvtColor(beside, cv2.COLOR_RGB2GRAY))
    assert np.isfinite(features).all(1).tolist() == [True, True, False] * 2
    assert np.isfinite(niqe(beside))


def test_noise_and_stripes_have_a_defined_result() -> None:
    stripes = np.zeros((192, 192, 3), np.uint8)
    stripes[:, ::2] = 255
    point = np.zeros((192, 192, 3), np.uint8)
    point[50, 50] = 255
    for picture in (stripes, point, np.random.default_rng(0).integers(0, 256, (192, 192, 3), dtype=np.uint8)):
        try:
            assert np.isfinite(niqe(picture))
        except ImageError as error:
            assert "no value" in error.what  # noqa: PT017 (either is right)


def test_distance_by_hand() -> None:
    first = PatchGaussian(np.zeros(3), np.diag([1.0, 3.0, 0.0]))
    second = PatchGaussian(np.array([2.0, 2.0, 5.0]), np.diag([1.0, 5.0, 0.0]))
    assert distance(first, second) == pytest.approx(np.sqrt(4 / 1 + 4 / 4))  # the third has no variance: left out
    assert distance(first, first) == 0
    assert fit_gaussian(np.array([[1.0, 2.0]])).covariance.tolist() == [[0, 0], [0, 0]]


def test_the_model_is_a_gaussian_of_36_features() -> None:
    model, facts = read_model(MODEL)
    assert model.mean.shape == (36,)
    assert model.covariance.shape == (36, 36)
    assert np.array_equal(model.covariance, model.covariance.T)
    assert np.linalg.eigvalsh(model.covariance).min() > 0
    assert (facts["photographs"], len(facts["sha256"])) == ("561", 64)
    assert json.loads(facts["folders"]) == ["kodak24", "debian_wallpapers", "bsds500"]
    assert np.array_equal(pristine_model().mean, model.mean)


def test_only_sharp_patches_with_a_fit_count() -> None:
    features = np.arange(4.0)[:, None] * np.ones(36)
    features[3, 7] = np.nan
    assert sharp_features(features, np.array([4.0, 3.0, 3.1, 3.9]))[:, 0].tolist() == [0, 2]
    assert len(sharp_features(features[:0], np.empty(0))) == 0


def test_a_fit_is_written_and_read_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("safetensors", reason="the extra train is not installed")
    output = tmp_path / "model.safetensors"
    arguments = ["niqe_fit", str(photographs_folder()), "-o", str(output), "--without", "kodak24.jpg"]
    monkeypatch.setattr("sys.argv", arguments)
    main()
    assert capsys.readouterr().out.startswith("9 photographs, ")
    model, facts = read_model(output)
    expected, same_facts = fit_model([photographs_folder()], ["kodak24.jpg"])
    assert np.array_equal(model.mean, expected.mean)
    assert np.array_equal(model.covariance, expected.covariance)
    assert facts == same_facts
    assert facts["left_out"] == '["kodak24.jpg"]'
    digest = hashlib.sha256()
    for path in sorted(photographs_folder().glob("kodak*.jpg"))[:9]:
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    assert facts["sha256"] == digest.hexdigest()


def test_what_cannot_be_fitted_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="no photograph in"):
        fit_model([tmp_path])
    with pytest.raises(InvalidInput, match="to leave out"):
        fit_model([photographs_folder()], ["none.jpg"])
    cv2.imwrite(str(tmp_path / "small.png"), np.zeros((40, 40, 3), np.uint8))
    with pytest.raises(InvalidInput, match="0 sharp patches"):
        fit_model([tmp_path])


@pytest.mark.parametrize("content", [b"", b"\x02\0\0\0\0\0\0\0{}", b"\x02\0\0\0\0\0\0\0[]", b"\xff" * 40])
def test_another_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.safetensors"
    with pytest.raises(ModelRefused):
        read_model(path)
    path.write_bytes(content)
    with pytest.raises(ModelRefused):
        read_model(path)
    path.write_bytes(MODEL.read_bytes()[:-8])
    with pytest.raises(ModelRefused):
        read_model(path)


def test_the_table_of_eval_has_niqe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from edge_iqa.cli import main as edge_iqa

    sharp = read_image(photographs_folder() / "kodak05.jpg")[:288, :288]
    rows = ["file,mos"]
    for index, sigma in enumerate((0.5, 1, 2, 3, 5)):
        cv2.imwrite(str(tmp_path / f"{index}.png"), blurred(sharp, sigma)[:, :, ::-1])
        rows.append(f"{index}.png,{5 - index}")
    cv2.imwrite(str(tmp_path / "flat.png"), np.full((200, 200, 3), 90, np.uint8))
    (tmp_path / "scores.csv").write_text("\n".join([*rows, "flat.png,0"]))
    assert "niqe" in BASELINES
    table = ["--csv", str(tmp_path / "scores.csv"), "--root", str(tmp_path)]
    arguments = ["edge-iqa", "eval", *table, "--baseline", "laplacian", "--baseline", "niqe", "--only-baselines"]
    monkeypatch.setattr("sys.argv", arguments)
    with pytest.raises(SystemExit) as ended:
        edge_iqa()
    assert ended.value.code == 3  # the flat one is set aside
    printed = capsys.readouterr()
    assert ["all", "niqe", "5", "1.0000"] in [line.split()[:4] for line in printed.out.splitlines()]
    assert "NIQE has no value" in printed.err
