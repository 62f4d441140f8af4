"""A soak of the camera loop: frames as fast as they go, faults at random; do the books balance and memory stay flat?

    python -m edge_iqa.benchmarks.camera_soak --minutes 120 --json soak.json

Each round is a run of the real loop on the test source with a random script of faults, random failures of the model,
a random policy that is exchanged on the way, a folder and a log with small limits, a sink that fails and one that is
slow. After each round the books must balance and no thread may be left. The seed is printed; the same seed makes the
same faults.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path

import numpy as np

from edge_iqa.camera.backoff import BackoffSpec
from edge_iqa.camera.faults import CONNECTION_FAULTS, FAULTS, Fault
from edge_iqa.camera.frame import Frame
from edge_iqa.camera.frame_folder import FrameFolder
from edge_iqa.camera.frame_sinks import KeptFrames, RejectedFrames
from edge_iqa.camera.health import HealthSpec
from edge_iqa.camera.judge import ScoreFunction, ScoreLike
from edge_iqa.camera.loop import CameraLoop, LoopSettings
from edge_iqa.camera.policy import Decision
from edge_iqa.camera.policy_spec import load_policy, preset_names
from edge_iqa.camera.scores_log import ScoresLog
from edge_iqa.camera.sink_queue import SinkQueue
from edge_iqa.camera.sinks import Sink
from edge_iqa.camera.source import Pixels
from edge_iqa.camera.source_test import TestSource, TestSpec
from edge_iqa.camera.status import LoopStatus
from edge_iqa.scorer import load

SCHEMA_VERSION = 1
ROUND_FRAMES = 1500
_SETTINGS = LoopSettings(
    backoff=BackoffSpec(first_s=0.005, longest_s=0.05, settled_s=0.5),
    health=HealthSpec(frozen_after_s=0.05, frozen_reopen_s=0.1),
)
_WARM_UP_SHARE = 0.25


class UnreliableScorer:
    """The real scorer, which now and then raises, gives NaN or takes long, by the seed."""

    def __init__(self, scorer: ScoreFunction, chance: random.Random, rate: float = 0.01) -> None:
        self._scorer = scorer
        self._chance = chance
        self._rate = rate

    def __call__(self, pixels: Pixels) -> ScoreLike:
        draw = self._chance.random()
        if draw < self._rate / 3:
            raise RuntimeError("the engine fails, by script")
        if draw < self._rate * 2 / 3:
            time.sleep(0.02)
        score = self._scorer(pixels)
        return _NotANumber() if self._rate * 2 / 3 <= draw < self._rate else score


class _NotANumber:
    value = float("nan")


class UnreliableSink(Sink):
    """A sink that fails on some frames and is slow on others."""

    name = "unreliable"

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance

    def handle(self, frame: Frame, decision: Decision) -> None:
        draw = self._chance.random()
        if draw < 0.05:
            raise OSError(28, "No space left on device")
        if draw < 0.07:
            time.sleep(0.01)


@dataclass
class Soak:
    """What a soak found; memory in megabytes, times in seconds since the start."""

    seed: int
    rounds: int = 0
    frames_in: int = 0
    kept: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    reconnects: int = 0
    sink_lost: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    memory: list[tuple[float, float]] = field(default_factory=list)

    def add(self, status: LoopStatus) -> None:
        """Add the counts of a round."""
        self.rounds += 1
        self.frames_in += status.frames_in
        self.kept += status.kept
        self.dropped.update(status.dropped)
        self.errors.update(status.errors)
        self.reconnects += status.reconnects
        self.sink_lost.update(status.sink_lost)

    @property
    def balanced(self) -> bool:
        return self.frames_in == self.kept + sum(self.dropped.values())

    def memory_slope_mb_per_h(self) -> float | None:
        """Return the slope of a straight line through the memory after the warm-up; None with too few readings."""
        later = self.memory[int(len(self.memory) * _WARM_UP_SHARE) :]
        if len(later) < 10:
            return None
        slope = np.polyfit([at for at, _ in later], [mb for _, mb in later], 1)[0]
        return float(slope) * 3600

    def document(self) -> dict[str, object]:
        """Return what is written as JSON."""
        found = {each.name: getattr(self, each.name) for each in fields(self)}  # asdict() breaks a Counter
        return {
            "schema_version": SCHEMA_VERSION,
            **found,
            "balanced": self.balanced,
            "memory_slope_mb_per_h": self.memory_slope_mb_per_h(),
        }


def run_soak(seed: int, minutes: float, scorer: ScoreFunction, size: tuple[int, int] = (320, 240)) -> Soak:
    """Run rounds for ``minutes``; problems are collected, not raised."""
    soak = Soak(seed)
    started = time.monotonic()
    threads_before = threading.active_count()
    with tempfile.TemporaryDirectory() as folder:
        while (now := time.monotonic() - started) < minutes * 60:
            chance = random.Random(f"{seed}/{soak.rounds}")  # noqa: S311 - repeatable on purpose
            _run_round(soak, chance, scorer, size, Path(folder))
            soak.memory.append((now, memory_mb()))
            left = threading.active_count() - threads_before
            if left > 0:
                soak.problems.append(f"round {soak.rounds}: {left} threads were left")
                threads_before += left
    return soak


def _run_round(soak: Soak, chance: random.Random, scorer: ScoreFunction, size: tuple[int, int], folder: Path) -> None:
    faults = random_faults(chance)
    soak.faults.update(fault.kind for fault in faults)
    live = chance.random() < 0.7
    if not live:
        faults = tuple(fault for fault in faults if fault.kind not in CONNECTION_FAULTS)
    spec = TestSpec(*size, fps=0, frames=ROUND_FRAMES, seed=chance.randrange(4), live=live, slow_s=0.005, faults=faults)
    policies = [load_policy(name) for name in preset_names()]
    wait_s = 0.0 if live else None
    sinks: list[Sink] = [
        KeptFrames(FrameFolder(folder / "kept", max_count=50)),
        RejectedFrames(FrameFolder(folder / "rejected", max_count=20), every=20),
        ScoresLog(folder / "scores.jsonl", max_bytes=200_000, backups=2),
        UnreliableSink(chance),
    ]
    queues = [SinkQueue(sink, size=8, wait_s=wait_s) for sink in sinks]
    unreliable = UnreliableScorer(scorer, random.Random(chance.random()))  # noqa: S311
    loop = CameraLoop(TestSource(spec), unreliable, chance.choice(policies), queues, _SETTINGS)
    exchange = threading.Timer(0.2, lambda: loop.set_policy(chance.choice(policies)))
    exchange.daemon = True
    exchange.start()
    try:
        loop.run()
    except Exception as error:
        soak.problems.append(f"round {soak.rounds}: {type(error).__name__}: {error}")
    exchange.cancel()
    exchange.join()
    status = loop.status
    soak.add(status)
    if status.frames_in != status.kept + sum(status.dropped.values()) or status.frames_in != ROUND_FRAMES:
        soak.problems.append(f"round {soak.rounds}: the books do not balance: {status}")


def random_faults(chance: random.Random, count: int = 12) -> tuple[Fault, ...]:
    """Return faults of random kinds and places; a lost connection fails up to four times on its way back."""
    faults = []
    for _ in range(count):
        kind = chance.choice(FAULTS)
        first = chance.randrange(ROUND_FRAMES)
        length = chance.randrange(4) if kind in CONNECTION_FAULTS else chance.randrange(60)
        faults.append(Fault(kind, first, first + length))
    return tuple(faults)


def memory_mb() -> float:
    """Return this process's resident memory in megabytes (Linux)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1e6


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the soak and print its result; 1 where something did not hold."""
    parser = argparse.ArgumentParser(prog="camera_soak", description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--minutes", type=float, default=120.0)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--size", default="320x240")
    parser.add_argument("--bundle", type=Path, default=None)
    parser.add_argument("--backend", default="auto")
    parser.add_argument("--max-slope", type=float, default=5.0, help="megabytes per hour")
    parser.add_argument("--json", type=Path, default=None)
    options = parser.parse_args(arguments)
    seed = random.SystemRandom().randrange(10**6) if options.seed is None else options.seed
    print(f"seed {seed}", file=sys.stderr, flush=True)
    width, height = map(int, options.size.split("x"))
    with load(options.bundle, options.backend, threads=1) as scorer:
        soak = run_soak(seed, options.minutes, scorer, (width, height))
    document = soak.document()
    if options.json is not None:
        options.json.write_text(json.dumps(document, indent=1) + "\n")
    print(json.dumps({key: value for key, value in document.items() if key != "memory"}, indent=1))
    slope = soak.memory_slope_mb_per_h()
    fine = soak.balanced and not soak.problems and (slope is None or slope <= options.max_slope)
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
