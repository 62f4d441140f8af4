"""Time several models in one process: in rounds, each loaded alone, for waiting threads of one runtime slow another."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from edge_iqa.backends.base import Backend
from edge_iqa.progress import track

WARM_UP, SAMPLES_PER_TURN = 5, 25
KeyT = TypeVar("KeyT", bound=Hashable)


@dataclass(frozen=True)
class TimedModel:
    """How a model is loaded, and the inputs ``(1, H, W, 3)`` uint8 that it gets in turn."""

    load: Callable[[], Backend]
    inputs: Sequence[NDArray[np.uint8]]


def medians_ms(models: Mapping[KeyT, TimedModel], rounds: int, seed: int = 0) -> dict[KeyT, float]:
    """Return the median time of one inference of each model over at least one round.

    In each round every model has one turn, in random order. For its turn it is loaded, warmed up, timed and closed
    before the next one is loaded. Models are compared within rounds, so that minutes in which the machine is slow
    decide nothing: of a model's time over the geometric mean of its round the median is taken, and put back into
    milliseconds by the median of these means. Raises what loading or inference raises.
    """
    keys = list(models)
    turns = np.empty((rounds, len(keys)))
    random = np.random.default_rng(seed)
    for done in track(range(rounds), "timing"):
        for index in random.permutation(len(keys)):
            turns[done, index] = np.median(_turn(models[keys[index]]))
    means = np.exp(np.log(turns).mean(1, keepdims=True))
    found = np.median(turns / means, axis=0) * np.median(means)
    return dict(zip(keys, found.tolist(), strict=True))


def _turn(model: TimedModel) -> list[float]:
    samples = []
    with closing(model.load()) as backend:
        for position in range(WARM_UP + SAMPLES_PER_TURN):
            tensor = model.inputs[position % len(model.inputs)]
            start = time.perf_counter()
            backend.infer(tensor)
            samples.append((time.perf_counter() - start) * 1e3)
    return samples[WARM_UP:]
