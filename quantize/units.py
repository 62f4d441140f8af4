"""Steps of tensors that are added, as whole multiples of one of them.

Then a sum is a sum of integers. On the unit itself it needs no rounding. It may be rounded onto an odd multiple, never
onto an even one: halves would come up all the time, which some runtimes round to even and others up (TFLite's sums).
What a convolution gives is rounded onto a power of two of the unit. This is ours.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

CONVOLUTION_MULTIPLES = (1, 2, 4, 8, 16)
SUM_MULTIPLES = (1, 3, 5, 7)
_TRIED_PER_OCTAVE = 48
_ROUNDED_SUM = 0.05  # what a sum that must be rounded counts, in squared octaves


@dataclass(frozen=True)
class Wanted:
    """The step that a tensor should have, and whether it is a sum."""

    step: float
    summed: bool


def multiples_of_one(wanted: Sequence[Wanted]) -> tuple[float, list[int]]:
    """Return a unit, and of which multiple of it each step is to be: those nearest to ``wanted``.

    Near is the squared difference of logarithms: a step too short by some part, which clips, counts like one too long.
    Sums on the unit are preferred.
    """
    least, most = (choose(one.step for one in wanted) for choose in (min, max))
    tried = math.ceil(math.log2(most / least) * _TRIED_PER_OCTAVE) + 3 * _TRIED_PER_OCTAVE
    units = [most * 2 ** (-number / _TRIED_PER_OCTAVE) for number in range(-_TRIED_PER_OCTAVE, tried)]

    def distance(unit: float, one: Wanted, multiple: int) -> float:
        rounded = one.summed and multiple > 1
        return math.log2(unit * multiple / one.step) ** 2 + _ROUNDED_SUM * rounded

    def nearest(unit: float) -> list[int]:
        choices = {True: SUM_MULTIPLES, False: CONVOLUTION_MULTIPLES}
        return [min(choices[one.summed], key=lambda multiple: distance(unit, one, multiple)) for one in wanted]

    def best_unit(multiples: Sequence[int]) -> float:
        octaves = [math.log2(one.step / multiple) for one, multiple in zip(wanted, multiples, strict=True)]
        unit: float = 2 ** (sum(octaves) / len(octaves))
        return unit

    best: tuple[float, float, list[int]] | None = None
    for multiples in {tuple(nearest(unit)) for unit in units}:
        unit = best_unit(multiples)
        total = sum(distance(unit, one, multiple) for one, multiple in zip(wanted, multiples, strict=True))
        if best is None or (total, unit) < best[:2]:
            best = total, unit, list(multiples)
    assert best is not None
    return best[1], best[2]
