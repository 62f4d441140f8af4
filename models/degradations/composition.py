"""Several degradations after one another: steps, their random drawing and their application."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from edge_iqa.errors import InvalidInput
from edge_iqa.models.degradations.base import LEVEL_COUNT, Image, check_image
from edge_iqa.models.degradations.registry import DEGRADATIONS, GROUPS, degrade

_LEVEL_SIGMA = 2.5
_SEED_COUNT = 2**31
_weights = np.exp(-0.5 * (np.arange(LEVEL_COUNT) / _LEVEL_SIGMA) ** 2)
LEVEL_PROBABILITIES: tuple[float, ...] = tuple(float(share) for share in _weights / _weights.sum())
"""Chance of levels 1..5: a half-Gaussian of sigma 2.5 on 0..4 (.293 .270 .213 .143 .081)."""


@dataclass(frozen=True)
class Step:
    """One degradation by name, with its level 0..5 and its seed."""

    name: str
    level: int
    seed: int


def apply_steps(image: Image, steps: Iterable[Step]) -> Image:
    """The picture after all `steps` in order, clipped to [0, 1] after each; a copy when there are none.

    Takes and returns float32 RGB (H, W, 3) in [0, 1]. Raises InvalidInput as `degrade` does.
    """
    check_image(image)
    result = image.copy()
    for step in steps:
        result = degrade(result, step.name, step.level, step.seed)
    return result


def draw_steps(rng: np.random.Generator, max_steps: int = 4, groups: Sequence[str] | None = None) -> tuple[Step, ...]:
    """A random composition as in ARNIQA (arXiv 2310.14918).

    The number of steps is uniform in 1..max_steps (never more than there are groups), the groups are drawn
    without replacement and stay in random order, the degradation is uniform within its group, and the level
    follows `LEVEL_PROBABILITIES`. `groups` limits the choice; None means all of `GROUPS`, the camera groups
    (ours) among them. Raises InvalidInput for an unknown or an empty choice of groups or max_steps below 1.
    """
    chosen = tuple(dict.fromkeys(GROUPS if groups is None else groups))
    unknown = [group for group in chosen if group not in GROUPS]
    if unknown or not chosen:
        raise InvalidInput(
            f"no degradation groups {unknown}" if unknown else "no degradation group to draw from",
            why="a composition draws from the groups of the registry",
            fix="choose among " + ", ".join(GROUPS),
        )
    if max_steps < 1:
        raise InvalidInput(f"max_steps is {max_steps}", why="a composition has at least one step", fix="pass 1 or more")
    count = min(int(rng.integers(1, max_steps + 1)), len(chosen))
    steps = []
    for group_index in rng.permutation(len(chosen))[:count]:
        names = [item.name for item in DEGRADATIONS.values() if item.group == chosen[group_index]]
        name = names[int(rng.integers(len(names)))]
        level = 1 + int(rng.choice(LEVEL_COUNT, p=LEVEL_PROBABILITIES))
        steps.append(Step(name, level, int(rng.integers(_SEED_COUNT))))
    return tuple(steps)
