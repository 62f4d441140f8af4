"""Run the real loop in a test: a cheap scorer that can fail by script, a sink that remembers, quick settings."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from edge_iqa.camera.backoff import BackoffSpec
from edge_iqa.camera.frame import Frame
from edge_iqa.camera.health import HealthSpec
from edge_iqa.camera.loop import CameraLoop, LoopSettings
from edge_iqa.camera.policy import Decision
from edge_iqa.camera.policy_spec import Policy
from edge_iqa.camera.sinks import Sink
from edge_iqa.camera.source import Grab, Pixels, Source
from edge_iqa.camera.source_open import make_source
from edge_iqa.camera.source_test import TestSource, TestSpec
from edge_iqa.camera.status import LoopStatus

KEEP_ALL = Policy(1, "keep all", threshold=0.0)
QUICK = BackoffSpec(first_s=0.01, longest_s=0.05, settled_s=0.5)
SETTINGS = LoopSettings(backoff=QUICK, health=HealthSpec(frozen_after_s=0.3, frozen_reopen_s=0.5))


@dataclass(frozen=True)
class Value:
    value: float


class SharpnessScorer:
    """Scores by the mean difference of neighbouring columns; ``script`` says what goes wrong at which call."""

    def __init__(self, script: Mapping[int, float | Exception] | None = None) -> None:
        self.script = script or {}
        self.calls = 0

    def __call__(self, pixels: NDArray[np.uint8]) -> Value:
        wrong = self.script.get(self.calls)
        self.calls += 1
        if isinstance(wrong, Exception):
            raise wrong
        if wrong is not None:
            return Value(wrong)
        sample = pixels[::4].astype(np.int16)
        return Value(min(0.99, float(np.abs(np.diff(sample, axis=1)).mean()) / 32))


class InStep(TestSource):
    """A live source whose next frame is taken when the last one was read, so that none is superseded."""

    __test__ = False

    def __init__(self, spec: TestSpec) -> None:
        super().__init__(spec, "camera")
        self._was_read = threading.Event()
        self._was_read.set()

    def grab(self) -> Grab | None:
        assert self._was_read.wait(60)
        found = super().grab()
        if found is None:
            return None
        read = found.read
        self._was_read.clear()

        def read_and_tell() -> Pixels | None:
            self._was_read.set()
            return read()

        return replace(found, read=read_and_tell)


class Remember(Sink):
    """Remembers every decision with the shape and mean of its frame, and whether it was closed."""

    name = "remember"

    def __init__(self) -> None:
        self.decisions: list[Decision] = []
        self.shapes: list[tuple[int, ...]] = []
        self.means: list[float] = []
        self.closed = False

    def handle(self, frame: Frame, decision: Decision) -> None:
        assert frame.number == decision.frame
        self.decisions.append(decision)
        self.shapes.append(frame.pixels.shape)
        self.means.append(float(frame.pixels.mean()))

    def close(self) -> None:
        self.closed = True


@dataclass
class Run:
    """A loop with what it did; ``messages`` is what people were told."""

    loop: CameraLoop
    sink: Remember
    messages: list[str] = field(default_factory=list)
    error: BaseException | None = None

    @property
    def status(self) -> LoopStatus:
        return self.loop.status

    def reasons(self) -> Counter[str]:
        return Counter(decision.reason for decision in self.sink.decisions)

    def start(self) -> threading.Thread:
        """Run in a thread of its own; ``error`` is what it raised."""

        def run() -> None:
            try:
                self.loop.run()
            except Exception as error:
                self.error = error

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        return thread


def make_run(
    source: str | Source,
    policy: Policy = KEEP_ALL,
    scorer: SharpnessScorer | None = None,
    settings: LoopSettings = SETTINGS,
    sinks: tuple[Sink, ...] = (),
) -> Run:
    """Return a loop that has not run yet."""
    sink, messages = Remember(), list[str]()
    found = make_source(source) if isinstance(source, str) else source
    loop = CameraLoop(found, scorer or SharpnessScorer(), policy, [sink, *sinks], settings, messages.append)
    return Run(loop, sink, messages)


def run_to_end(
    source: str | Source,
    policy: Policy = KEEP_ALL,
    scorer: SharpnessScorer | None = None,
    settings: LoopSettings = SETTINGS,
    sinks: tuple[Sink, ...] = (),
) -> Run:
    """Run to the end and check what must hold after every run: balanced books, one decision per frame, closed sinks."""
    run = make_run(source, policy, scorer, settings, sinks)
    run.loop.run()
    assert_balanced(run)
    return run


def assert_balanced(run: Run) -> None:
    status = run.status
    assert status.frames_in == status.kept + sum(status.dropped.values())
    assert status.undecided == status.pending == 0
    numbers = [decision.frame for decision in run.sink.decisions]
    assert len(set(numbers)) == len(numbers)
    assert sum(decision.keep for decision in run.sink.decisions) == status.kept
    assert run.sink.closed
