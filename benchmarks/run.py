"""Run a benchmark: a process per target, scores of all pictures for drift, then timed rounds in turns."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import edge_iqa
from edge_iqa.benchmarks.device_state import StateRecorder
from edge_iqa.benchmarks.host_facts import read_host_facts, usable_cpus
from edge_iqa.benchmarks.pictures import BenchPicture, PictureSet, collect_pictures
from edge_iqa.benchmarks.results import (
    SCHEMA_VERSION,
    BenchResult,
    BundleFacts,
    PictureFacts,
    Settings,
    ToolFacts,
)
from edge_iqa.benchmarks.rows import Measurement, finish
from edge_iqa.benchmarks.sampling import SamplingPlan
from edge_iqa.benchmarks.target_process import TargetProcess
from edge_iqa.benchmarks.targets import REFERENCE, Target, refusal, targets_for
from edge_iqa.benchmarks.verdict import Bars
from edge_iqa.bundle import Bundle, default_bundle_path, read_bundle
from edge_iqa.errors import BackendMismatch, BarMissed, BundleRefused, EdgeIqaError, ImageError
from edge_iqa.progress import track

_SCORE_PORTION = 8
_LOAD_SECONDS = 3600.0  # TensorRT builds its engine on the first load


@dataclass(frozen=True)
class BenchRequest:
    """What to measure; None means: the median reference score as ``threshold``, ``threads`` for all CPUs."""

    bundle: Path | None
    device: str
    plan: SamplingPlan
    precision: str = "all"
    images: Path | None = None
    threads: int | None = None
    threshold: float | None = None
    drift_images: int = 300
    seed: int = 0
    bars: Bars = field(default_factory=Bars)


@dataclass(frozen=True)
class BenchOutcome:
    """The result, and what speaks against a clean exit: bars missed, targets refused, pictures not read."""

    result: BenchResult
    missed: list[str]
    without_file: set[str]
    refused: dict[str, EdgeIqaError]
    failed_pictures: tuple[ImageError, ...]

    def raise_problems(self) -> None:
        """Raise what must not end in a clean exit; called once the result is written.

        A target that was asked for by name must work. Of all CPU runtimes together, one that is not installed
        or that the bundle has no file for is only a row; a model that a runtime refuses, crashes on or scores
        wrongly is not, nor is it fine where no target could be measured. Raises the target's error, or
        BarMissed.
        """
        by_name = self.result.settings.device != "cpu"
        for label, error in self.refused.items():
            grave = isinstance(error, BundleRefused | BackendMismatch) and label not in self.without_file
            if by_name or grave or len(self.refused) == len(self.result.rows):
                raise error
        if self.missed:
            count = len(self.missed)
            raise BarMissed(
                "A bar was missed" if count == 1 else f"{count} bars were missed",
                why="; ".join(self.missed),
                fix="the lines above advise; --precision measures only int8 or only fp32",
            )


def run_bench(request: BenchRequest) -> BenchOutcome:
    """Measure every target of the request.

    A target that cannot be measured is a row, not an exception. Raises InvalidInput, BundleRefused or
    DeviceUnavailable before anything is measured.
    """
    targets = targets_for(request.device, request.precision)
    bundle = read_bundle(default_bundle_path() if request.bundle is None else request.bundle)
    pictures = collect_pictures(request.images, request.drift_images, request.seed)
    threads = usable_cpus() if request.threads is None else request.threads
    host = read_host_facts()
    seconds = len(targets) * request.plan.min_seconds
    print(
        f"{len(targets)} targets in turns on {len(pictures.pictures)} pictures, mode {request.plan.mode}: "
        f"at least {seconds:.0f} s of measuring",
        file=sys.stderr,
    )
    measurements, reference_scores = _Session(request, bundle, pictures, threads).measure(targets)
    judged = finish(measurements, reference_scores, bundle, request.threshold, threads, request.plan, request.bars)
    result = BenchResult(
        schema_version=SCHEMA_VERSION,
        created_utc=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        tool=ToolFacts("edge-iqa", edge_iqa.__version__),
        host=host,
        bundle=BundleFacts(bundle.manifest.name, bundle.manifest.model, bundle.sha256, bundle.size_bytes),
        settings=Settings(request.device, request.precision, threads, request.seed, request.plan),
        images=PictureFacts(
            pictures.source,
            len(pictures.pictures),
            len(pictures.failed),
            pictures.sha256,
            [picture.name for picture in pictures.pictures],
        ),
        reference_scores=[round(score, 7) for score in reference_scores],
        rows=judged.rows,
    )
    refused = {entry.target.label: entry.error for entry in measurements if entry.error is not None}
    without_file = {target.label for target in targets if refusal(target, bundle) is not None}
    return BenchOutcome(result, judged.missed, without_file, refused, pictures.failed)


class _Session:
    """The worker processes of one benchmark; only one of them works at a time."""

    def __init__(self, request: BenchRequest, bundle: Bundle, pictures: PictureSet, threads: int) -> None:
        self._request = request
        self._plan = request.plan
        self._bundle = bundle
        self._pictures = pictures
        self._threads = threads
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
            for _ in track(self._rounds(timed), "timing", total=self._plan.rounds * len(timed)):
                pass
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
            threads=self._threads,
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

    def _rounds(self, entries: list[Measurement]) -> Iterator[None]:
        plan = self._plan
        pictures = _documents(self._pictures.for_timing(plan.timing_pictures))
        portions: dict[Target, int] = {}
        for entry in entries:
            prepared = self._ask(entry, "prepare", pictures=pictures)
            warm = self._ask(entry, "warmup", min_seconds=plan.warmup_min_seconds, max_seconds=plan.warmup_max_seconds)
            if prepared is not None and warm is not None:
                entry.decode_ms = prepared["decode_ms"]
                portions[entry.target] = plan.portion(warm["latency_ms"])
        recorders = {entry.target: StateRecorder() for entry in entries}
        while waiting := [e for e in entries if e.error is None and not plan.is_met(len(e.total_ms), e.seconds)]:
            for entry in waiting:
                left_s = plan.max_seconds - entry.seconds
                answer = self._ask(
                    entry,
                    "run",
                    timeout_s=left_s + 300,
                    samples=portions[entry.target],
                    max_seconds=left_s,
                    settle=plan.settle_samples,
                )
                recorders[entry.target].sample()
                if answer is not None:
                    entry.add(answer)
                yield
        for entry in entries:
            entry.state = recorders[entry.target].summary()

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


def _documents(pictures: Sequence[BenchPicture]) -> list[dict[str, Any]]:
    return [dataclasses.asdict(picture) for picture in pictures]
