"""The worker processes of one benchmark: loaded, scored, and timed in turns, one at work at a time."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from edge_iqa.benchmarks.device_state import DeviceWatch
from edge_iqa.benchmarks.pictures import BenchPicture, PictureSet
from edge_iqa.benchmarks.results import Throughput, Warmup
from edge_iqa.benchmarks.rows import Measurement
from edge_iqa.benchmarks.sampling import SamplingPlan
from edge_iqa.benchmarks.sustained import SustainedRun, interval_seconds
from edge_iqa.benchmarks.target_process import TargetProcess
from edge_iqa.benchmarks.targets import REFERENCE, Target, refusal
from edge_iqa.bundle import Bundle
from edge_iqa.errors import BackendMismatch, EdgeIqaError
from edge_iqa.progress import track

_SCORE_PORTION = 8
_LOAD_SECONDS = 3600.0  # TensorRT builds its engine on the first load
_THROUGHPUT_ROUNDS = 3
_SPARE_S = 300.0


@dataclass(frozen=True)
class Timing:
    """How a session times its targets; ``streams`` and ``sustained_s`` None: not at all."""

    plan: SamplingPlan
    threads: int
    streams: int | None = None
    sustained_s: float | None = None

    @property
    def threads_per_stream(self) -> int:
        return max(1, self.threads // (self.streams or 1))

    @property
    def stream_seconds(self) -> float:
        """How long one round of the throughput lasts: the rounds take a third of the plan's time, at least."""
        return max(0.2, self.plan.min_seconds / 3 / _THROUGHPUT_ROUNDS)


class Session:
    """The worker processes of one benchmark; only one of them works at a time."""

    def __init__(self, bundle: Bundle, pictures: PictureSet, timing: Timing) -> None:
        self._bundle = bundle
        self._pictures = pictures
        self._timing = timing
        self._processes: dict[Target, TargetProcess] = {}

    def measure(self, targets: Sequence[Target]) -> tuple[list[Measurement], list[float]]:
        """Return a measurement per target, and the reference's scores (empty where it could not score)."""
        entries = {target: Measurement(target) for target in targets}
        if REFERENCE not in entries:  # scored for drift, but not timed
            entries = {REFERENCE: Measurement(REFERENCE), **entries}
        with ExitStack() as stack:
            for entry in track(list(entries.values()), "loading"):
                self._load(entry, stack)
            portions = self._score_all(list(entries.values()))
            steps = -(-len(self._pictures.pictures) // _SCORE_PORTION) * len(self._processes)
            for _ in track(portions, "scoring", total=steps):
                pass
            if REFERENCE not in targets and REFERENCE in self._processes:
                self._processes[REFERENCE].close()
            timed = [entries[target] for target in targets]
            self._time(timed, stack.enter_context(DeviceWatch()))
        return timed, entries[REFERENCE].scores

    def _load(self, entry: Measurement, stack: ExitStack) -> None:
        entry.error = refusal(entry.target, self._bundle)
        if entry.error is not None:
            return
        process = TargetProcess(entry.target.label)
        stack.callback(process.close)
        self._processes[entry.target] = process
        answer = self._ask(
            entry,
            "load",
            timeout_s=_LOAD_SECONDS,
            bundle=str(self._bundle.path.resolve()),
            backend=entry.target.backend,
            precision=entry.target.precision,
            threads=self._timing.threads,
            picture=dataclasses.asdict(self._pictures.pictures[0]),
        )
        if answer is None:
            return
        if answer["bundle_sha256"] != self._bundle.sha256:
            entry.error = BackendMismatch("The bundle was exchanged during the benchmark", fix="run it again")
        entry.loaded = answer

    def _score_all(self, entries: list[Measurement]) -> Iterator[None]:
        pictures = self._pictures.pictures
        for entry in entries:
            for first in range(0, len(pictures), _SCORE_PORTION):
                answer = self._ask(entry, "score", pictures=_documents(pictures[first : first + _SCORE_PORTION]))
                if answer is None:
                    break
                entry.scores += answer["scores"]
                yield

    def _time(self, entries: list[Measurement], watch: DeviceWatch) -> None:
        timing = self._timing
        for _ in track(self._rounds(entries, watch), "timing", total=timing.plan.rounds * len(entries)):
            pass
        if timing.streams is not None:
            steps = _THROUGHPUT_ROUNDS * len(entries)
            for _ in track(self._stream_rounds(entries, timing.streams), "throughput", total=steps):
                pass
        if timing.sustained_s is not None:
            for entry in entries:
                for _ in track(self._sustain(entry, watch, timing.sustained_s), f"sustained {entry.target.label}"):
                    pass

    def _rounds(self, entries: list[Measurement], watch: DeviceWatch) -> Iterator[None]:
        plan = self._timing.plan
        pictures = _documents(self._pictures.for_timing(plan.timing_pictures))
        portions: dict[Target, int] = {}
        for entry in entries:
            prepared = self._ask(entry, "prepare", pictures=pictures)
            warm = self._ask(entry, "warmup", min_seconds=plan.warmup_min_seconds, max_seconds=plan.warmup_max_seconds)
            if prepared is not None and warm is not None:
                entry.decode_ms = prepared["decode_ms"]
                entry.warmup = Warmup(round(warm["seconds"], 3), warm["stable"])
                portions[entry.target] = plan.portion(warm["latency_ms"])
        recorders = {entry.target: watch.recorder() for entry in entries}
        while waiting := [e for e in entries if e.error is None and not plan.is_met(len(e.total_ms), e.seconds)]:
            for entry in waiting:
                with recorders[entry.target].beside():
                    answer = self._run(entry, portions[entry.target], plan.max_seconds - entry.seconds)
                if answer is not None:
                    entry.add(answer)
                yield
        for entry in entries:
            entry.state = recorders[entry.target].summary(watch.power_mode())

    def _stream_rounds(self, entries: list[Measurement], streams: int) -> Iterator[None]:
        timing = self._timing
        taken: dict[Target, list[tuple[int, float]]] = {entry.target: [] for entry in entries}
        for _ in range(_THROUGHPUT_ROUNDS):
            for entry in entries:
                answer = self._ask(
                    entry,
                    "throughput",
                    timeout_s=timing.stream_seconds + _SPARE_S,
                    streams=streams,
                    threads=timing.threads_per_stream,
                    seconds=timing.stream_seconds,
                )
                if answer is not None:
                    taken[entry.target].append((answer["pictures"], answer["seconds"]))
                yield
        for entry in entries:
            if entry.error is None:
                entry.throughput = _throughput(timing, streams, taken[entry.target])

    def _sustain(self, entry: Measurement, watch: DeviceWatch, seconds: float) -> Iterator[None]:
        """Run one target without a pause, for heat to show; the others wait."""
        if entry.error is not None:
            return
        latency_ms = sum(entry.total_ms) / len(entry.total_ms)
        run = SustainedRun(watch.recorder(), interval_seconds(seconds, latency_ms))
        while run.seconds < seconds:
            with run.recorder.beside():
                answer = self._run(entry, sys.maxsize, run.interval_s)
            if answer is None:
                return
            run.add(answer["total_ms"], answer["seconds"])
            yield
        entry.sustained, entry.sustained_reasons = run.summary()

    def _run(self, entry: Measurement, samples: int, max_seconds: float) -> dict[str, Any] | None:
        return self._ask(
            entry,
            "run",
            timeout_s=max_seconds + _SPARE_S,
            samples=samples,
            max_seconds=max_seconds,
            settle=self._timing.plan.settle_samples,
        )

    def _ask(
        self, entry: Measurement, command: str, timeout_s: float = 600.0, **arguments: Any
    ) -> dict[str, Any] | None:
        """Ask a target's process; after an error the target is out, and each answer is None."""
        if entry.error is not None:
            return None
        process = self._processes[entry.target]
        try:
            return process.ask(command, timeout_s, **arguments)
        except EdgeIqaError as error:
            entry.error = error
            words = process.last_words()
            if isinstance(error, BackendMismatch) and words:
                print(f"{entry.target.label} printed last:\n{words}", file=sys.stderr)
            return None


def _throughput(timing: Timing, streams: int, rounds: Sequence[tuple[int, float]]) -> Throughput:
    pictures = sum(count for count, _ in rounds)
    seconds = sum(time_s for _, time_s in rounds)
    return Throughput(
        streams=streams,
        threads_per_stream=timing.threads_per_stream,
        pictures=pictures,
        seconds=round(seconds, 3),
        pictures_per_s=round(pictures / seconds, 3),
        rounds_pictures_per_s=[round(count / time_s, 3) for count, time_s in rounds],
    )


def _documents(pictures: Sequence[BenchPicture]) -> list[dict[str, Any]]:
    return [dataclasses.asdict(picture) for picture in pictures]
