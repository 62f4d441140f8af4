"""What the camera loop costs: its share on top of decode, resize and inference, and of the processor at 5, 15, 30 fps.

    python -m edge_iqa.benchmarks.camera_overhead --json overhead.json

The same video is scored twice in turn, several times over: by the shortest possible code (read a frame, score it) and
by the whole loop with a policy, books and a scores.jsonl. Compared are the medians of the time per frame, and the
processor time per frame, which other programs on the machine disturb less. Then the video is played at steady rates
as a live camera, and the processor's share is read.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from edge_iqa.camera.frame import Frame
from edge_iqa.camera.loop import CameraLoop, LoopSettings
from edge_iqa.camera.policy import Decision
from edge_iqa.camera.policy_spec import load_policy
from edge_iqa.camera.scores_log import ScoresLog
from edge_iqa.camera.sink_queue import SinkQueue
from edge_iqa.camera.sinks import Sink
from edge_iqa.camera.source import Grab
from edge_iqa.camera.source_file import VideoFileSource
from edge_iqa.camera.test_pattern import TestPattern
from edge_iqa.scorer import Scorer, load

SCHEMA_VERSION = 1
RATES_FPS = (5, 15, 30)


@dataclass(frozen=True)
class Overhead:
    """Per frame, in milliseconds: medians of wall time, and mean processor time, with and without the loop."""

    frames: int
    plain_ms: float
    loop_ms: float
    plain_cpu_ms: float
    loop_cpu_ms: float

    @property
    def wall_ratio(self) -> float:
        """Wall time per frame in the loop over that without it; below 1 where decoding runs beside inference."""
        return self.loop_ms / self.plain_ms

    @property
    def cpu_ratio(self) -> float:
        return self.loop_cpu_ms / self.plain_cpu_ms


@dataclass(frozen=True)
class Share:
    """At a camera's rate: frames decided per second, and the processor's share in percent of one core."""

    camera_fps: float
    decided_fps: float
    cpu_percent: float
    superseded: int


class PlayedVideo(VideoFileSource):
    """A video file played as a live camera at ``fps``, over and over, for ``seconds``."""

    live = True

    def __init__(self, path: Path, fps: float, seconds: float) -> None:
        super().__init__(path)
        self._fps, self._seconds = fps, seconds
        self._started: float | None = None
        self._count = 0

    def grab(self) -> Grab | None:
        if self._started is None:
            self._started = time.monotonic()
        due = self._started + self._count / self._fps
        if due - self._started >= self._seconds:
            return None
        time.sleep(max(0.0, due - time.monotonic()))
        self._count += 1
        found = super().grab()
        if found is None:
            self.close()
            self.open()
            found = super().grab()
        return None if found is None else Grab(found.captured_s, None, found.read)


class Ticks(Sink):
    """Notes when each frame was decided."""

    name = "ticks"
    needs_pixels = False

    def __init__(self) -> None:
        self.at_s: list[float] = []

    def handle(self, frame: Frame, decision: Decision) -> None:
        self.at_s.append(time.perf_counter())


def write_video(path: Path, width: int, height: int, frames: int) -> None:
    """Write the test pattern as MPEG-4."""
    import cv2

    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 30, (width, height))
    pattern = TestPattern(width, height, seed=0)
    for index in range(frames):
        writer.write(np.ascontiguousarray(pattern.picture(index)[:, :, ::-1]))
    writer.release()


def measure_overhead(scorer: Scorer, video: Path, rounds: int) -> Overhead:
    """Score ``video`` in turn with and without the loop, after one round to warm up."""
    plain: list[float] = []
    looped: list[float] = []
    cpu = {"plain": 0.0, "loop": 0.0}
    for turn in range(rounds + 1):
        before = time.process_time()
        found = _plain_times(scorer, video)
        between = time.process_time()
        through_loop = _loop_times(scorer, video)
        after = time.process_time()
        if turn > 0:
            plain += found
            looped += through_loop
            cpu["plain"] += between - before
            cpu["loop"] += after - between
    return Overhead(
        frames=len(plain),
        plain_ms=statistics.median(plain) * 1e3,
        loop_ms=statistics.median(looped) * 1e3,
        plain_cpu_ms=cpu["plain"] / len(plain) * 1e3,
        loop_cpu_ms=cpu["loop"] / len(looped) * 1e3,
    )


def _plain_times(scorer: Scorer, video: Path) -> list[float]:
    source = VideoFileSource(video)
    source.open()
    times = []
    started = time.perf_counter()
    while (grab := source.grab()) is not None:
        pixels = grab.read()
        if pixels is not None:
            scorer(pixels)
        now = time.perf_counter()
        times.append(now - started)
        started = now
    source.close()
    return times


def _loop_times(scorer: Scorer, video: Path) -> list[float]:
    ticks = Ticks()
    with tempfile.TemporaryDirectory() as folder:
        log = SinkQueue(ScoresLog(Path(folder) / "scores.jsonl"), wait_s=None)
        started = time.perf_counter()
        CameraLoop(VideoFileSource(video), scorer, load_policy("slam"), [ticks, log]).run()
    times = [started, *ticks.at_s]
    return [later - earlier for earlier, later in pairwise(times)]


def measure_share(scorer: Scorer, video: Path, fps: float, seconds: float) -> Share:
    """Play ``video`` at ``fps`` through the loop and read the processor time of the process."""
    loop = CameraLoop(PlayedVideo(video, fps, seconds), scorer, load_policy("surveillance"), (), LoopSettings())
    started, used = time.monotonic(), time.process_time()
    status = loop.run()
    took, used = time.monotonic() - started, time.process_time() - used
    superseded = status.dropped.get("superseded", 0)
    return Share(fps, (status.frames_in - superseded) / took, used / took * 100, superseded)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; 1 where the loop adds more than the limit to the processor time per frame."""
    parser = argparse.ArgumentParser(prog="camera_overhead", description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--video", type=Path, default=None, help="a video; by default one is made")
    parser.add_argument("--size", default="1280x720", help="of the video that is made")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=10.0, help="for each camera rate")
    parser.add_argument("--bundle", type=Path, default=None)
    parser.add_argument("--backend", default="auto")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--max-ratio", type=float, default=1.10)
    parser.add_argument("--json", type=Path, default=None)
    options = parser.parse_args(arguments)
    with (
        tempfile.TemporaryDirectory() as folder,
        load(options.bundle, options.backend, threads=options.threads) as scorer,
    ):
        video = options.video
        if video is None:
            video = Path(folder) / "video.mp4"
            width, height = map(int, options.size.split("x"))
            write_video(video, width, height, frames=60)
        overhead = measure_overhead(scorer, video, options.rounds)
        shares = [measure_share(scorer, video, fps, options.seconds) for fps in RATES_FPS]
    document = {
        "schema_version": SCHEMA_VERSION,
        "backend": scorer.backend.name,
        "threads": options.threads,
        "video": options.size if options.video is None else options.video.name,
        **asdict(overhead),
        "wall_ratio": overhead.wall_ratio,
        "cpu_ratio": overhead.cpu_ratio,
        "shares": [asdict(share) for share in shares],
    }
    text = json.dumps(document, indent=1)
    print(text)
    if options.json is not None:
        options.json.write_text(text + "\n")
    return 0 if overhead.cpu_ratio <= options.max_ratio else 1


if __name__ == "__main__":
    sys.exit(main())
