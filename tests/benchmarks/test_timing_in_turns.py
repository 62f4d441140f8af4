"""Timing in turns: never two models loaded at once, warm-up not counted, every model in every round."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_iqa.backends.base import Backend
from edge_iqa.benchmarks import timing_in_turns
from edge_iqa.benchmarks.timing_in_turns import SAMPLES_PER_TURN, WARM_UP, TimedModel, medians_ms

INPUTS = [np.zeros((1, 2, 2, 3), np.uint8), np.ones((1, 2, 2, 3), np.uint8)]


class Bench:
    """A clock that only inference moves on, and the models that are loaded now."""

    def __init__(self) -> None:
        self.now = 0.0
        self.loaded: list[str] = []
        self.turns: list[str] = []

    def loader(self, name: str, seconds: float) -> Callable[[], Backend]:
        def load() -> Backend:
            assert self.loaded == []
            self.loaded.append(name)
            self.turns.append(name)
            return Slow(self, seconds)  # type: ignore[return-value]

        return load


class Slow:
    """A model whose first inferences take a second longer."""

    def __init__(self, bench: Bench, seconds: float) -> None:
        self.bench, self.seconds, self.runs = bench, seconds, 0

    def infer(self, image: NDArray[np.uint8]) -> float:
        assert image is INPUTS[self.runs % len(INPUTS)]
        self.bench.now += self.seconds + (1.0 if self.runs < WARM_UP else 0.0)
        self.runs += 1
        return 0.5

    def close(self) -> None:
        assert self.runs == WARM_UP + SAMPLES_PER_TURN
        self.bench.loaded.pop()


def test_each_model_is_alone_warm_and_in_every_round(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()
    monkeypatch.setattr(timing_in_turns.time, "perf_counter", lambda: bench.now)
    seconds = {("a", 1): 0.010, ("a", 2): 0.020, ("b", 1): 0.005}
    models = {key: TimedModel(bench.loader(str(key), value), INPUTS) for key, value in seconds.items()}
    found = medians_ms(models, rounds=3)
    assert found == {key: pytest.approx(1000 * value) for key, value in seconds.items()}
    assert bench.loaded == []
    rounds = [bench.turns[first : first + 3] for first in range(0, 9, 3)]
    assert all(sorted(turns) == sorted(map(str, seconds)) for turns in rounds)
    assert len(bench.turns) == 9


def test_a_slow_minute_does_not_decide_which_model_is_faster(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()
    monkeypatch.setattr(timing_in_turns.time, "perf_counter", lambda: bench.now)

    def model(name: str, seconds: float, slow_turns: int) -> TimedModel:
        def load() -> Backend:
            slowed = 2 if bench.turns.count(name) < slow_turns else 1
            return bench.loader(name, seconds * slowed)()

        return TimedModel(load, INPUTS)

    # the machine is twice as slow in two of five rounds, and in a third until the first model has had its turn
    found = medians_ms({"a": model("a", 0.010, 3), "b": model("b", 0.011, 2)}, rounds=5)
    assert found["b"] / found["a"] == pytest.approx(1.1)


def test_a_model_that_fails_is_closed() -> None:
    closed = []

    class Broken:
        def infer(self, image: NDArray[np.uint8]) -> float:
            raise RuntimeError("no")

        def close(self) -> None:
            closed.append(self)

    with pytest.raises(RuntimeError, match="no"):
        medians_ms({"x": TimedModel(Broken, INPUTS)}, rounds=1)  # type: ignore[arg-type]
    assert len(closed) == 1
