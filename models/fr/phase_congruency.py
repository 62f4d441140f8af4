"""Phase congruency by log-Gabor filters, with noise compensation, as FSIM uses it.

Kovesi, "Image Features from Phase Congruency", Videre 1(3), 1999; parameters of Zhang et al. 2011 (FSIM).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

SCALES = 4
ORIENTATIONS = 4
_MIN_WAVELENGTH_PX = 6.0
_SCALE_STEP = 2.0
_SIGMA_ON_F = 0.55
_SPACING_ON_SIGMA = 1.2
_NOISE_SIGMAS = 2.0
_NOISE_DIVISOR = 1.7
_LOWPASS_CUTOFF = 0.45
_LOWPASS_ORDER = 15
_EPSILON = 1e-4


@dataclass(frozen=True)
class FilterBank:
    """Log-Gabor transfer functions of one picture size.

    `transfer` is `(orientations, scales, H, W)`, zero frequency at index 0. `noise_gain` turns, per
    orientation, the median squared amplitude at the finest scale into the squared Rayleigh parameter of the
    noise energy.
    """

    transfer: Tensor
    noise_gain: tuple[float, ...]


def _frequencies(size: int) -> Tensor:
    half = size // 2
    span = size - 1 if size % 2 else size
    frequencies: Tensor = torch.fft.ifftshift(torch.arange(-half, size - half, dtype=torch.float64) / span)
    return frequencies


@lru_cache(maxsize=16)
def filter_bank(height: int, width: int) -> FilterBank:
    """Filters for pictures of `height` x `width`; made in float64, the last 16 sizes are kept in float32."""
    vertical, horizontal = torch.meshgrid(_frequencies(height), _frequencies(width), indexing="ij")
    radius = torch.hypot(vertical, horizontal)
    angle = torch.atan2(-vertical, horizontal)
    lowpass = 1.0 / (1.0 + (radius / _LOWPASS_CUTOFF).pow(2 * _LOWPASS_ORDER))
    radius[0, 0] = 1.0
    radial = []
    for scale in range(SCALES):
        centre = 1.0 / (_MIN_WAVELENGTH_PX * _SCALE_STEP**scale)
        band = torch.exp(-(torch.log(radius / centre) ** 2) / (2.0 * math.log(_SIGMA_ON_F) ** 2)) * lowpass
        band[0, 0] = 0.0
        radial.append(band)
    sigma = math.pi / ORIENTATIONS / _SPACING_ON_SIGMA
    banks, gains = [], []
    for orientation in range(ORIENTATIONS):
        turned = angle - orientation * math.pi / ORIENTATIONS
        distance = torch.atan2(torch.sin(turned), torch.cos(turned))
        spread = torch.exp(-(distance**2) / (2.0 * sigma**2))
        bank = torch.stack(radial) * spread
        banks.append(bank)
        gains.append(_noise_gain(bank))
    return FilterBank(torch.stack(banks).float(), tuple(gains))


def _noise_gain(bank: Tensor) -> float:
    """Squared Rayleigh parameter of the summed filter response to noise, over the median finest response."""
    impulse = torch.fft.ifft2(bank).real * math.sqrt(bank.shape[-2] * bank.shape[-1])
    squares = float(impulse.square().sum())
    products = (float(impulse.sum(dim=0).square().sum()) - squares) / 2.0
    mean_on_median = -1.0 / math.log(0.5)
    return mean_on_median / float(bank[0].square().sum()) * (squares + 2.0 * products)


def phase_congruency(luminance: Tensor) -> Tensor:
    """Phase congruency of `(N, 1, H, W)` luminance in [0, 255]: `(N, 1, H, W)` in [0, 1), 0 where flat."""
    bank = filter_bank(*luminance.shape[2:])
    transfer = bank.transfer.to(luminance.device)
    spectrum = torch.fft.fft2(luminance)
    energy = torch.zeros_like(luminance[:, 0])
    amplitude = torch.zeros_like(energy)
    for orientation, gain in enumerate(bank.noise_gain):
        response = torch.fft.ifft2(spectrum * transfer[orientation])
        even, odd = response.real, response.imag
        magnitude = response.abs()
        total_even, total_odd = even.sum(dim=1, keepdim=True), odd.sum(dim=1, keepdim=True)
        length = torch.hypot(total_even, total_odd) + _EPSILON
        mean_even, mean_odd = total_even / length, total_odd / length
        along = (total_even * mean_even + total_odd * mean_odd).squeeze(1)
        across = (even * mean_odd - odd * mean_even).abs().sum(dim=1)
        rayleigh = (magnitude[:, 0].flatten(1).median(dim=1).values.square() * gain).sqrt()
        noise = rayleigh * (math.sqrt(math.pi / 2.0) + _NOISE_SIGMAS * math.sqrt(2.0 - math.pi / 2.0))
        energy += (along - across - noise.view(-1, 1, 1) / _NOISE_DIVISOR).clamp_min(0.0)
        amplitude += magnitude.sum(dim=1)
    return (energy / (amplitude + _EPSILON)).unsqueeze(1)
