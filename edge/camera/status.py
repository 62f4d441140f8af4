"""A snapshot of the running loop, as metrics and the preview read it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

NOTHING: Mapping[str, int] = MappingProxyType({})


@dataclass(frozen=True)
class LoopStatus:
    """What the loop has done so far; a new one is published after every decision and on every change of state.

    Every grabbed frame is in exactly one of ``kept``, ``dropped`` (by cause), ``undecided`` or ``pending``, so that
    ``frames_in == kept + sum(dropped.values()) + undecided + pending`` at any time; the last two are 0 at the end.
    """

    state: str = "starting"  # starting, running, reconnecting, stopping, ended, failed
    source: str = ""  # without credentials
    frames_in: int = 0
    kept: int = 0
    dropped: Mapping[str, int] = field(default_factory=lambda: NOTHING)  # cause → frames
    undecided: int = 0  # observed, held until the policy decides: 0 or 1
    pending: int = 0  # grabbed, not yet looked at
    fps: float | None = None  # frames grabbed per second over the last seconds; None before there are two
    decided_fps: float | None = None  # frames decided per second, likewise
    last_frame: int | None = None
    last_score: float | None = None
    last_decision: str | None = None  # keep, drop
    last_reason: str | None = None
    threshold: float | None = None
    age_ms: float | None = None  # from the grab of the last decided frame to its decision
    width: int | None = None
    height: int | None = None
    reconnects: int = 0
    errors: Mapping[str, int] = field(default_factory=lambda: NOTHING)  # error code → times it happened
    last_error: str | None = None  # one line, without credentials
    sink_lost: Mapping[str, int] = field(default_factory=lambda: NOTHING)  # sink → frames it lost
    uptime_s: float = 0.0
