"""The process that measures one target: JSON lines in, a command each, and one answer out to each.

A fresh process per target shows the cost of loading, keeps runtimes from disturbing each other, and lets a
crash of one be a row in the table. Commands: load, score, prepare, warmup, run, throughput. The end of stdin
ends the process.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_iqa.benchmarks.pictures import BenchPicture
from edge_iqa.benchmarks.sampling import is_warm
from edge_iqa.errors import BackendMismatch, BundleRefused, EdgeIqaError, InvalidInput

Answer = dict[str, Any]
ThreadTimes = dict[str, tuple[int, int]]
_WINDOW_SAMPLES = 8


class TargetWorker:
    """Answers the commands; ``load`` must come first, and ``prepare`` before ``warmup`` and ``run``."""

    def __init__(self) -> None:
        self._scorer: Any = None
        self._pictures: list[NDArray[np.uint8]] = []
        self._next = 0
        self._source: tuple[str, str, str] = ("", "", "")
        self._streams: list[Any] = []
        self._commands: dict[str, Callable[[Mapping[str, Any]], Answer]] = {
            "load": self.load,
            "score": self.score,
            "prepare": self.prepare,
            "warmup": self.warmup,
            "run": self.run,
            "throughput": self.throughput,
        }

    def answer(self, command: Mapping[str, Any]) -> Answer:
        """Carry out one command; what goes wrong is an answer too: ``{"error": {code, what, why, fix}}``."""
        try:
            return self._commands[command["command"]](command)
        except EdgeIqaError as error:
            found = error
        except Exception as error:  # whatever a runtime raises is this target's result, not the tool's end
            found = BackendMismatch("The runtime failed", why=f"{type(error).__name__}: {error}"[:300])
        return {"error": {"code": found.code, "what": found.what, "why": found.why, "fix": found.fix}}

    def load(self, command: Mapping[str, Any]) -> Answer:
        """Load the bundle on the runtime and score one picture; tell how long both took, and the memory."""
        picture = BenchPicture(**command["picture"]).load()
        start = time.perf_counter()
        from edge_iqa.scorer import load

        self._source = (command["bundle"], command["backend"], command["precision"])
        self._scorer = load(*self._source, command["threads"])
        loaded = time.perf_counter()
        try:
            self._scorer(picture)
        except InvalidInput as error:  # pictures come from the bundle's own pre-processing, so its model is wrong
            raise BundleRefused(
                "The model is not one for the bundle's pictures", why=error.what, fix="rebuild the bundle"
            ) from error
        done = time.perf_counter()
        for _ in range(_WINDOW_SAMPLES):
            self._scorer(picture)
        return {
            "load_ms": (loaded - start) * 1e3,
            "first_ms": (done - loaded) * 1e3,
            "peak_rss_mb": peak_rss_mb(),
            "affinity": sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
            "version": self._scorer.backend.version,
            "bundle_sha256": self._scorer.bundle.sha256,
        }

    def score(self, command: Mapping[str, Any]) -> Answer:
        """Score pictures once each."""
        return {"scores": [self._scorer(BenchPicture(**picture).load()).value for picture in command["pictures"]]}

    def prepare(self, command: Mapping[str, Any]) -> Answer:
        """Decode the pictures for timing and keep them; the second decoding of each file counts."""
        from edge_iqa.decode import read_image

        pictures = [BenchPicture(**picture) for picture in command["pictures"]]
        self._pictures = [picture.load() for picture in pictures]
        decode_ms = []
        for path in sorted({picture.path for picture in pictures}):
            start = time.perf_counter()
            read_image(path)
            decode_ms.append((time.perf_counter() - start) * 1e3)
        return {"decode_ms": decode_ms}

    def warmup(self, command: Mapping[str, Any]) -> Answer:
        """Score until the latency holds still, within the time allowed; return the last median."""
        start = time.perf_counter()
        windows: list[float] = []
        while True:
            windows.append(float(np.median([self._sample()[2] for _ in range(_WINDOW_SAMPLES)])))
            elapsed = time.perf_counter() - start
            if elapsed >= command["max_seconds"] or (elapsed >= command["min_seconds"] and is_warm(windows)):
                return {"latency_ms": windows[-1], "seconds": elapsed, "stable": is_warm(windows)}

    def run(self, command: Mapping[str, Any]) -> Answer:
        """Take ``samples`` timed samples, fewer where ``max_seconds`` pass first; always at least one."""
        for _ in range(command["settle"]):
            self._sample()
        before, busy_before = thread_times_ns(), processors_busy_ns()
        start = time.perf_counter()
        taken: list[tuple[float, float, float]] = []
        while True:
            taken.append(self._sample())
            if len(taken) >= command["samples"] or time.perf_counter() - start >= command["max_seconds"]:
                break
        seconds = time.perf_counter() - start
        after, busy_after = thread_times_ns(), processors_busy_ns()
        busy_ns = None if busy_before is None or busy_after is None else busy_after - busy_before
        scheduling = scheduling_ns(before, after, busy_ns)
        resize_ms, infer_ms, total_ms = zip(*taken, strict=True)
        return {
            "resize_ms": resize_ms,
            "infer_ms": infer_ms,
            "total_ms": total_ms,
            "seconds": seconds,
            "scheduling_ns": None if scheduling is None else list(scheduling),
        }

    def throughput(self, command: Mapping[str, Any]) -> Answer:
        """Score on ``streams`` scorers at once, each of ``threads`` threads, for ``seconds``; count pictures."""
        from edge_iqa.benchmarks.streams import run_streams
        from edge_iqa.scorer import load

        while len(self._streams) < command["streams"]:
            self._streams.append(load(*self._source, command["threads"]))
            self._streams[-1](self._pictures[0])
        pictures, seconds = run_streams(self._streams, self._pictures, command["seconds"])
        return {"pictures": pictures, "seconds": seconds}

    def _sample(self) -> tuple[float, float, float]:
        """Score the next decoded picture: ``(resize, infer, whole call)`` in milliseconds."""
        picture = self._pictures[self._next]
        self._next = (self._next + 1) % len(self._pictures)
        start = time.perf_counter()
        stages = self._scorer(picture).stages_ms
        return stages.resize, stages.infer, (time.perf_counter() - start) * 1e3


def thread_times_ns(tasks: Path = Path("/proc/self/task")) -> ThreadTimes | None:
    """Return, per thread, nanoseconds that it ran, and that it waited for a processor; None where not counted."""
    times: ThreadTimes = {}
    try:
        for task in tasks.iterdir():
            ran, waited = (task / "schedstat").read_text(encoding="ascii").split()[:2]
            times[task.name] = (int(ran), int(waited))
    except (OSError, ValueError):
        return None
    return times


def processors_busy_ns(stat: Path = Path("/proc/stat")) -> int | None:
    """Return nanoseconds that all processors together have worked since start-up; None where they are not counted."""
    try:
        name, user, nice, system, _, _, irq, softirq = stat.read_text(encoding="ascii").split()[:8]
        ticks = sum(map(int, (user, nice, system, irq, softirq)))
    except (OSError, ValueError):
        return None
    return ticks * (1_000_000_000 // os.sysconf("SC_CLK_TCK")) if name == "cpu" else None


def scheduling_ns(
    before: ThreadTimes | None, after: ThreadTimes | None, busy_ns: int | None = None
) -> tuple[int, int] | None:
    """Return nanoseconds that the threads ran, and waited for other processes; None where they are not counted.

    Threads wait for each other too: those of a runtime hold their processors for a while after a picture, and OpenCV's
    want them for the next one. So waiting counts for no longer than other processes worked: all processors worked for
    ``busy_ns``, what the threads ran included.
    """
    if not before or not after:
        return None
    start = {name: before.get(name, (0, 0)) for name in after}
    ran = sum(now - start[name][0] for name, (now, _) in after.items())
    waited = sum(now - start[name][1] for name, (_, now) in after.items())
    return ran, waited if busy_ns is None else min(waited, max(busy_ns - ran, 0))


def peak_rss_mb() -> float | None:
    """Return the most memory this process has held, in MiB, from VmHWM or getrusage; None on Windows."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
        lines = [line for line in status.splitlines() if line.startswith("VmHWM:")]
        return int(lines[0].split()[1]) / 1024
    except (OSError, IndexError, ValueError):
        pass
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1024**2 if sys.platform == "darwin" else peak / 1024


def main() -> None:
    """Answer commands until stdin ends; whatever libraries print to stdout goes to stderr."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    worker = TargetWorker()
    for line in sys.stdin:
        command = json.loads(line)
        if command.get("command") is None:
            raise InvalidInput("A line without a command")
        answers.write(json.dumps(worker.answer(command)) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
