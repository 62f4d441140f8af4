"""Full-reference metrics: values of an independent implementation, properties of the papers, refusals."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from edge_iqa.errors import InvalidInput
from edge_iqa.models.fr import FR_METRICS, full_reference
from edge_iqa.models.fr.color import LMN, YIQ, lab, transform
from edge_iqa.models.fr.maps import pool, pool_factor, signed_power, weighted_mean
from edge_iqa.models.fr.phase_congruency import filter_bank, phase_congruency
from edge_iqa.models.fr.vsi import saliency

pytestmark = pytest.mark.usefixtures("one_thread")

NAMES = sorted(FR_METRICS)
SYMMETRIC = ("fsim", "fsimc", "gmsd", "haarpsi", "vsi")


def scene(height: int, width: int) -> np.ndarray:
    """A coloured picture with smooth shading, stripes, hard-edged blocks, texture: `(H, W, 3)` in [0, 1]."""
    rng = np.random.default_rng(2018)
    y, x = np.mgrid[0:height, 0:width] / 64.0
    channels = [
        0.5 + 0.2 * np.sin(2.1 * x + k) * np.cos(1.3 * y - k) + 0.06 * np.sin(17.0 * x + 9.0 * y) for k in range(3)
    ]
    picture = np.stack(channels, axis=-1)
    for _ in range(12):
        top, left = rng.integers(0, height - 24), rng.integers(0, width - 24)
        picture[top : top + 24, left : left + 24] += rng.random(3) * 0.5 - 0.25
    picture += 0.1 * (rng.random((height, width, 1)) - 0.5)
    return np.asarray(picture.clip(0.0, 1.0))


def noisy(picture: np.ndarray, strength: float) -> np.ndarray:
    rng = np.random.default_rng(11)
    return np.clip(picture + strength * (rng.random(picture.shape) - 0.5), 0.0, 1.0)


def blurred(picture: np.ndarray, radius_px: int) -> np.ndarray:
    """Box blur with circular borders."""
    offsets = range(-radius_px, radius_px + 1)
    rows = sum(np.roll(picture, offset, axis=0) for offset in offsets) / len(offsets)
    return np.asarray(sum(np.roll(rows, offset, axis=1) for offset in offsets) / len(offsets))


def posterised(picture: np.ndarray) -> np.ndarray:
    return np.round(picture * 6.0) / 6.0


def batch(*pictures: np.ndarray) -> Tensor:
    return torch.from_numpy(np.stack(pictures).transpose(0, 3, 1, 2).copy()).float()


def worse_by(name: str, scores: Tensor) -> Tensor:
    """Scores turned so that larger is worse."""
    return -scores if FR_METRICS[name].higher_is_better else scores


@pytest.fixture(scope="module")
def reference() -> np.ndarray:
    return scene(192, 208)


# Source: piq 0.8.0, run once on `scene` against its noisy(0.2), blurred(2) and posterised versions, in two
# points set to the papers: HaarPSI with the authors' YIQ matrix (piq rounds it otherwise, 6e-4) and VSI with
# the white point D65 of the SDSP program (piq: D50, 3e-3). Tolerances: FSIMc 1e-4, because piq takes the
# absolute value of a negative chroma product where the authors' program takes the real part of its power; VSI
# above 256 px 5e-4, because piq pads before it pools (half a block aside) and resizes saliency without
# anti-aliasing, corners aligned.
FROZEN = [
    ("fsim", (256, 256), (0.854284, 0.835755, 0.802760), 1e-5),
    ("fsimc", (256, 256), (0.842324, 0.834954, 0.793738), 1e-4),
    ("gmsd", (256, 256), (0.047387, 0.032506, 0.092408), 1e-5),
    ("haarpsi", (256, 256), (0.836419, 0.861392, 0.766637), 1e-5),
    ("mdsi", (256, 256), (0.368425, 0.383266, 0.412815), 1e-5),
    ("vsi", (256, 256), (0.949407, 0.963130, 0.940936), 1e-5),
    ("fsim", (384, 512), (0.959322, 0.975666, 0.909703), 1e-5),
    ("fsimc", (384, 512), (0.956177, 0.975229, 0.906487), 1e-4),
    ("mdsi", (384, 512), (0.286699, 0.239410, 0.351127), 1e-5),
    ("vsi", (384, 512), (0.985269, 0.994020, 0.970646), 5e-4),
]


@pytest.mark.parametrize(("name", "size", "expected", "tolerance"), FROZEN)
def test_values_of_an_independent_implementation(
    name: str, size: tuple[int, int], expected: tuple[float, ...], tolerance: float
) -> None:
    picture = scene(*size)
    distorted = batch(noisy(picture, 0.2), blurred(picture, 2), posterised(picture))
    assert full_reference(name, batch(picture), distorted).tolist() == pytest.approx(expected, abs=tolerance)


@pytest.mark.parametrize("name", NAMES)
def test_identical_pictures_score_best(name: str, reference: np.ndarray) -> None:
    scores = full_reference(name, batch(reference), batch(reference))
    assert scores.shape == (1,)
    assert scores.dtype == torch.float32
    assert scores.item() == pytest.approx(FR_METRICS[name].best, abs=1e-5)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", ["noise", "blur"])
def test_stronger_distortion_scores_worse(name: str, kind: str, reference: np.ndarray) -> None:
    if kind == "noise":
        levels = [noisy(reference, strength) for strength in (0.03, 0.1, 0.3, 0.8)]
    else:
        levels = [blurred(reference, radius_px) for radius_px in (1, 2, 4)]
    scores = worse_by(name, full_reference(name, batch(reference), batch(reference, *levels)))
    assert (scores.diff() > 1e-4).all(), scores


@pytest.mark.parametrize("name", SYMMETRIC)
def test_symmetric_metrics(name: str, reference: np.ndarray) -> None:
    other = noisy(reference, 0.3)
    forth = full_reference(name, batch(reference), batch(other))
    back = full_reference(name, batch(other), batch(reference))
    torch.testing.assert_close(forth, back, atol=1e-6, rtol=0)


def test_mdsi_knows_which_picture_is_the_reference(reference: np.ndarray) -> None:
    first, second = batch(reference), batch(blurred(reference, 2))
    assert abs(full_reference("mdsi", first, second) - full_reference("mdsi", second, first)).item() > 1e-3


@pytest.mark.parametrize("name", NAMES)
def test_batch_and_shared_reference_equal_singles(name: str, reference: np.ndarray) -> None:
    distorted = batch(noisy(reference, 0.3), blurred(reference, 1), 1.0 - reference)
    shared = full_reference(name, batch(reference), distorted)
    paired = full_reference(name, batch(reference, reference, reference), distorted)
    singles = torch.cat([full_reference(name, batch(reference), one[None]) for one in distorted])
    torch.testing.assert_close(shared, paired, atol=1e-6, rtol=0)
    torch.testing.assert_close(shared, singles, atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", NAMES)
def test_pairs_keep_their_order(name: str, reference: np.ndarray) -> None:
    other = reference[::-1].copy()
    pairs = full_reference(name, batch(reference, other), batch(reference, reference))
    assert pairs[0].item() == pytest.approx(FR_METRICS[name].best, abs=1e-5)
    assert abs(pairs[1].item() - FR_METRICS[name].best) > 0.01


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
def test_flat_pictures_give_finite_scores(name: str, level: float, reference: np.ndarray) -> None:
    flat = np.full_like(reference, level)
    assert full_reference(name, batch(flat), batch(flat)).item() == pytest.approx(FR_METRICS[name].best, abs=1e-5)
    scores = torch.cat(
        [
            full_reference(name, batch(flat), batch(reference)),
            full_reference(name, batch(reference), batch(flat)),
        ]
    )
    assert torch.isfinite(scores).all()
    assert (worse_by(name, scores) > worse_by(name, torch.tensor(FR_METRICS[name].best))).all()


@pytest.mark.parametrize("name", NAMES)
def test_odd_sides(name: str) -> None:
    picture = scene(97, 131)
    best, worse = full_reference(name, batch(picture), batch(picture, noisy(picture, 0.5))).tolist()
    assert best == pytest.approx(FR_METRICS[name].best, abs=1e-5)
    assert abs(worse - best) > 0.01


def test_only_the_chromatic_metrics_see_a_change_of_colour(reference: np.ndarray) -> None:
    darker = 0.2 + 0.6 * reference
    equal_luminance = np.linalg.inv(np.array(YIQ)) @ np.array([0.0, 0.2, -0.1])
    tinted = darker + equal_luminance * (np.arange(reference.shape[1]) % 64 < 32)[None, :, None]
    scores = {name: full_reference(name, batch(darker), batch(np.clip(tinted, 0, 1))).item() for name in NAMES}
    assert scores["fsim"] > 0.99
    assert scores["gmsd"] < 0.02
    assert scores["fsimc"] < scores["fsim"] - 0.005
    assert scores["haarpsi"] < 0.95
    assert scores["mdsi"] > 0.2
    assert scores["vsi"] < 0.99


def test_fsimc_of_grey_pictures_is_fsim(reference: np.ndarray) -> None:
    grey = np.repeat(reference[..., :1], 3, axis=-1)
    pair = batch(grey), batch(blurred(grey, 2))
    torch.testing.assert_close(full_reference("fsimc", *pair), full_reference("fsim", *pair), atol=1e-4, rtol=0)


def test_saliency_of_a_grey_picture_is_not_made_of_rounding_errors(reference: np.ndarray) -> None:
    grey = batch(np.repeat(reference[..., :1], 3, axis=-1)).clamp(0.01, 0.99)
    jitter = torch.rand(grey.shape, generator=torch.Generator().manual_seed(1)) * 1e-6
    assert saliency(grey).std().item() > 0.01
    torch.testing.assert_close(saliency(grey), saliency(grey + jitter), atol=1e-3, rtol=0)


def test_saliency_finds_the_one_odd_block() -> None:
    picture = np.full((192, 192, 3), 0.4)
    picture[80:112, 80:112] = (0.9, 0.3, 0.1)
    found = saliency(batch(picture))[0, 0]
    assert found.min().item() == 0.0
    assert found.max().item() == 1.0
    assert found[88:104, 88:104].mean().item() > 5 * found[:48].mean().item()


def test_phase_congruency_peaks_on_an_edge_whatever_its_contrast() -> None:
    step = torch.full((1, 1, 128, 128), 60.0)
    step[..., 64:] = 180.0
    strong, weak = phase_congruency(step), phase_congruency(step * 0.25)
    assert (strong >= 0).all()
    assert (strong < 1).all()
    middle = strong[0, 0, 64, 16:112]
    assert middle.argmax().item() + 16 in (63, 64)
    assert middle.max().item() > 0.7
    assert middle[:24].max().item() < 0.4 * middle.max().item()
    torch.testing.assert_close(strong, weak, atol=1e-3, rtol=0)


def test_phase_congruency_of_a_flat_picture_is_zero() -> None:
    assert phase_congruency(torch.full((1, 1, 64, 64), 90.0)).abs().max().item() < 1e-3


def test_filter_bank_is_made_once_per_size() -> None:
    assert filter_bank(40, 56) is filter_bank(40, 56)
    assert filter_bank(40, 56).transfer.shape == (4, 4, 40, 56)
    assert filter_bank(40, 56).transfer[..., 0, 0].abs().max().item() == 0.0


@pytest.mark.parametrize(
    ("rgb", "expected"),
    [
        ((1.0, 1.0, 1.0), (100.0, 0.0, 0.0)),
        ((1.0, 0.0, 0.0), (53.24, 80.09, 67.20)),
        ((0.0, 0.0, 1.0), (32.30, 79.19, -107.86)),
        ((0.0, 0.0, 0.0), (0.0, 0.0, 0.0)),
    ],
)
def test_lab_of_known_colours(rgb: tuple[float, ...], expected: tuple[float, ...]) -> None:
    assert lab(torch.tensor(rgb).view(1, 3, 1, 1)).flatten().tolist() == pytest.approx(expected, abs=0.02)


def test_transform_applies_rows() -> None:
    green = torch.tensor([0.0, 1.0, 0.0]).view(1, 3, 1, 1).expand(2, 3, 4, 5)
    assert transform(green, LMN)[1, :, 2, 3].tolist() == pytest.approx([0.63, 0.04, -0.60])
    assert transform(green, YIQ[:1]).shape == (2, 1, 4, 5)


@pytest.mark.parametrize(("side", "factor"), [(16, 1), (383, 1), (384, 2), (639, 2), (640, 3), (1024, 4)])
def test_pool_factor_rounds_half_up(side: int, factor: int) -> None:
    assert pool_factor(side, 2000) == pool_factor(2000, side) == factor


def test_pool_drops_what_fills_no_block() -> None:
    picture = torch.arange(15.0).view(1, 1, 3, 5)
    assert pool(picture, 2).flatten().tolist() == [3.0, 5.0]
    assert pool(picture, 1) is picture


def test_signed_power_is_the_real_part() -> None:
    expected = [2.0**0.25, 2.0**0.25 * math.cos(math.pi / 4), 0.0]
    assert signed_power(torch.tensor([2.0, -2.0, 0.0]), 0.25).tolist() == pytest.approx(expected)


def test_weighted_mean_without_weights_is_the_mean() -> None:
    values = torch.tensor([[1.0, 3.0], [1.0, 3.0]])
    weights = torch.tensor([[0.0, 0.0], [3.0, 1.0]])
    assert weighted_mean(values, weights).tolist() == pytest.approx([2.0, 1.5])


def test_scores_carry_no_gradient(reference: np.ndarray) -> None:
    distorted = batch(blurred(reference, 1)).requires_grad_()
    assert not any(full_reference(name, batch(reference), distorted).requires_grad for name in NAMES)


GOOD = torch.full((2, 3, 32, 32), 0.5)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("reference", "distorted", "said"),
    [
        (GOOD[0], GOOD, "reference has the shape"),
        (GOOD, GOOD[:, :1], "distorted has the shape"),
        (GOOD[:0], GOOD[:0], "reference has the shape"),
        (GOOD[..., :15], GOOD[..., :15], "only"),
        (GOOD, GOOD.double(), "float64"),
        (GOOD, GOOD * 255, "127.5"),
        (GOOD, GOOD * math.nan, "nan"),
        (GOOD, torch.cat((GOOD, GOOD), dim=2), "sizes differ"),
        (GOOD, torch.cat((GOOD, GOOD)), "2 references"),
    ],
)
def test_pictures_that_do_not_fit_are_refused(name: str, reference: Tensor, distorted: Tensor, said: str) -> None:
    with pytest.raises(InvalidInput, match=said) as caught:
        full_reference(name, reference, distorted)
    assert caught.value.fix


def test_unknown_metric_is_refused_and_the_known_ones_named() -> None:
    with pytest.raises(InvalidInput, match="psnr") as caught:
        full_reference("psnr", GOOD, GOOD)
    assert all(name in caught.value.fix for name in NAMES)


def test_registry_describes_every_metric() -> None:
    assert {"fsim", "fsimc", "gmsd", "haarpsi", "mdsi", "vsi"} <= set(FR_METRICS)
    for name, metric in FR_METRICS.items():
        assert metric.name == name
        assert metric.best == (1.0 if metric.higher_is_better else 0.0)
        assert "20" in metric.paper
