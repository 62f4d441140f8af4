"""A live run of ``edge-iqa watch``: source, model, loop and sinks put together, signals, and the summary."""

from __future__ import annotations

import re
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from edge_iqa.camera.health import HealthSpec
from edge_iqa.camera.loop import CameraLoop, LoopSettings
from edge_iqa.camera.policy_spec import Policy
from edge_iqa.camera.redact import redact
from edge_iqa.camera.source import SourceOptions
from edge_iqa.camera.source_open import make_source
from edge_iqa.cli.watch_sinks import Outputs, attach_outputs
from edge_iqa.cli.watch_summary import summary_lines
from edge_iqa.errors import ImageError, InvalidInput
from edge_iqa.scorer import load

__all__ = ["Outputs", "WatchRequest", "parse_share", "parse_size", "watch"]

_SHARE = re.compile(r"(\d{1,4}(?:\.\d{1,3})?)\s*%")


@dataclass(frozen=True)
class WatchRequest:
    """What was asked for; ``max_cpu`` is a share of one core, times in seconds, sizes in pixels."""

    source: str
    policy: Policy
    outputs: Outputs
    bundle: Path | None
    backend: str
    precision: str
    threads: int | None
    max_cpu: float | None
    max_frames: int | None
    width: int | None
    height: int | None
    fps: float | None
    raw: str | None
    live: bool
    stall_s: float
    frozen_after_s: float | None
    give_up_s: float | None


def watch(request: WatchRequest) -> int:
    """Run until the end, a signal or ``max_frames``; return the exit code: 0, or 3 where a file had broken frames."""
    options = SourceOptions(
        width=request.width,
        height=request.height,
        fps=request.fps,
        raw=request.raw,
        live_pipe=request.live,
        stall_s=request.stall_s,
    )
    source = make_source(request.source, options)
    settings = LoopSettings(
        max_frames=request.max_frames,
        max_cpu=request.max_cpu,
        give_up_s=request.give_up_s,
        health=HealthSpec(frozen_after_s=request.frozen_after_s),
    )
    with ExitStack() as open_things:
        scorer = open_things.enter_context(load(request.bundle, request.backend, request.precision, request.threads))
        loop = CameraLoop(source, scorer, request.policy, settings=settings, report=_say)
        open_things.enter_context(attach_outputs(loop, request.outputs, source.live, _say))
        with _signals_stop(loop):
            try:
                loop.run()
            finally:
                for line in summary_lines(loop.status, request.policy.name):
                    _say(line)
    broken = loop.status.dropped.get("broken", 0) + loop.status.dropped.get("no_score", 0)
    return ImageError.exit_code if broken and not source.live else 0


def parse_size(text: str | None) -> tuple[int | None, int | None]:
    """Read ``640x480``; raises InvalidInput."""
    if text is None:
        return None, None
    match = re.fullmatch(r"(\d{1,5})x(\d{1,5})", text)
    if match is None or 0 in (int(match[1]), int(match[2])):
        raise InvalidInput(f"{text!r} is not a size", fix="WIDTHxHEIGHT, for instance 1280x720")
    return int(match[1]), int(match[2])


def parse_share(text: str) -> float:
    """Read ``50%`` as 0.5; more than 100 % are several cores. Raises InvalidInput."""
    match = _SHARE.fullmatch(text.strip())
    if match is None or not float(match[1]) > 0:
        raise InvalidInput(f"{text!r} is not a share of the processor", fix="for instance 50%, of one core")
    return float(match[1]) / 100


@contextmanager
def _signals_stop(loop: CameraLoop) -> Iterator[None]:
    """Let SIGTERM and SIGINT end the loop in order; a second one acts as it would without us."""
    former: dict[int, Any] = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def stop(number: int, frame: FrameType | None) -> None:
        loop.stop()
        signal.signal(number, former[number] or signal.SIG_DFL)

    for number in former:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler or signal.SIG_DFL)


def _say(text: str) -> None:
    print(redact(text), file=sys.stderr, flush=True)
