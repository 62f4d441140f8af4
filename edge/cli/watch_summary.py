"""The counts of a run in a few lines for people."""

from __future__ import annotations

from collections.abc import Iterator

from edge_iqa.camera.status import LoopStatus


def summary_lines(status: LoopStatus, policy: str) -> Iterator[str]:
    """Yield the summary of an ended run; kept and dropped add up to the frames that came in."""
    dropped = sum(status.dropped.values())
    yield f"{status.frames_in} frames in = {status.kept} kept + {dropped} dropped (policy {policy})"
    for cause, count in sorted(status.dropped.items(), key=lambda item: (-item[1], item[0])):
        yield f"  {count} {cause.replace('_', ' ')}"
    if status.reconnects:
        yield f"reconnected {status.reconnects} times"
    for code, count in sorted(status.errors.items()):
        yield f"{count} x {code}" + (f", last: {status.last_error}" if status.last_error else "")
    for sink, lost in status.sink_lost.items():
        yield f"{sink}: {lost} frames lost"
