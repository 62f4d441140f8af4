"""How sure the ratio of two medians is: a bootstrap over blocks of samples."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 2000
LEAST_SAMPLES = 11  # what MLPerf's rule asks of a median


@dataclass(frozen=True)
class RatioInterval:
    """The ratio of the medians, and the bounds between which it lies with 95 % confidence."""

    ratio: float
    low: float
    high: float


def median_ratio(before: Sequence[float], after: Sequence[float], seed: int = 0) -> RatioInterval | None:
    """Return median(after) / median(before) of latencies in the order in which they were taken.

    The interval is the percentile interval of a moving-block bootstrap (Künsch, The jackknife and the bootstrap
    for general stationary observations, Ann. Statist. 17, 1989): latencies next to each other are alike, and
    drawing them one by one would promise too much. Blocks of the square root of the number of samples are ours.
    None where a side has fewer than LEAST_SAMPLES.
    """
    if min(len(before), len(after)) < LEAST_SAMPLES:
        return None
    generator = np.random.default_rng(seed)
    first, second = np.asarray(before, np.float64), np.asarray(after, np.float64)
    ratios = _medians(second, generator) / _medians(first, generator)
    low, high = np.percentile(ratios, [2.5, 97.5])
    return RatioInterval(float(np.median(second) / np.median(first)), float(low), float(high))


def _medians(samples: NDArray[np.float64], generator: np.random.Generator) -> NDArray[np.float64]:
    """Return the medians ``(RESAMPLES,)`` of series put together from random blocks of ``samples``."""
    count = len(samples)
    block = math.isqrt(count)
    blocks = math.ceil(count / block)
    medians = np.empty(RESAMPLES)
    offsets = np.arange(block)
    for index in range(RESAMPLES):
        starts = generator.integers(0, count - block + 1, blocks)
        drawn = (starts[:, None] + offsets).reshape(-1)[:count]
        medians[index] = np.median(samples[drawn])
    return medians
