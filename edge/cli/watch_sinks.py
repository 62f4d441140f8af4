"""The outputs of ``edge-iqa watch``: from options to sinks and servers on the loop."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from edge_iqa.camera.frame import Frame
from edge_iqa.camera.frame_sinks import HandedOn
from edge_iqa.camera.loop import CameraLoop
from edge_iqa.camera.policy import Decision
from edge_iqa.camera.sink_queue import SinkQueue
from edge_iqa.camera.sinks import Sink
from edge_iqa.errors import InvalidInput


@dataclass(frozen=True)
class Outputs:
    """What is to become of frames, as the command line gives it; None: not asked for."""

    keep_dir: Path | None = None
    keep_max_bytes: int = 1 << 30
    keep_max_frames: int = 10_000
    rejects_dir: Path | None = None
    rejects_every: int = 100
    scores: Path | None = None
    on_keep: str | None = None
    mqtt: str | None = None
    metrics: str | None = None
    preview: str | None = None

    @property
    def nothing_asked(self) -> bool:
        """Whether no output was asked for at all, so that decisions go to stdout."""
        folders = (self.keep_dir, self.rejects_dir, self.scores)
        return not any((*folders, self.on_keep, self.mqtt, self.metrics, self.preview))


class StdoutScores(Sink):
    """Writes lines of scores.jsonl to stdout, each at once, for the next program in the pipe."""

    name = "stdout"
    needs_pixels = False

    def handle(self, frame: Frame, decision: Decision) -> None:
        from edge_iqa.camera.scores_log import decision_line

        print(json.dumps(decision_line(decision)), flush=True)


@contextmanager
def attach_outputs(loop: CameraLoop, outputs: Outputs, live: bool, say: Callable[[str], None]) -> Iterator[None]:
    """Add the sinks to ``loop`` and start the servers; servers end with the context.

    Behind a source that is not live, sinks make the loop wait, so that nothing of a file is lost.
    """
    wait_s = 0.0 if live else None
    for sink in make_sinks(outputs, wait_s, say):
        loop.add_sink(sink if isinstance(sink, HandedOn) else SinkQueue(sink, wait_s=wait_s, warn=say))
    with ExitStack() as servers:
        if outputs.metrics is not None:
            from edge_iqa.camera.address import parse_address
            from edge_iqa.camera.metrics import MetricsServer

            server = MetricsServer(parse_address(outputs.metrics), lambda: loop.status)
            servers.callback(server.close)
            say(f"metrics: http://{server.address}/metrics")
        if outputs.preview is not None:
            from edge_iqa.camera.address import parse_address
            from edge_iqa.camera.preview import LoopControls, Preview

            controls = LoopControls(lambda: loop.status, lambda: loop.policy, loop.set_policy)
            page = Preview(parse_address(outputs.preview), controls)
            loop.add_sink(page)
            servers.callback(page.close)
            print(f"preview: {page.url}", file=sys.stderr, flush=True)  # with its token, which is for the user
        yield


def make_sinks(outputs: Outputs, wait_s: float | None, say: Callable[[str], None]) -> list[Sink]:
    """Return the sinks that ``outputs`` asks for; raises SinkError where one cannot work from the start.

    A command that runs once a picture is written has a queue of its own, so that a slow one loses no picture.
    """
    from edge_iqa.camera.command_hook import CommandHook
    from edge_iqa.camera.frame_folder import FrameFolder
    from edge_iqa.camera.frame_sinks import KeptFrames, RejectedFrames
    from edge_iqa.camera.mqtt import MqttSink, parse_broker
    from edge_iqa.camera.scores_log import ScoresLog

    if outputs.keep_dir and outputs.rejects_dir and outputs.keep_dir.resolve() == outputs.rejects_dir.resolve():
        raise InvalidInput("--keep-dir and --rejects-dir must be two folders", why=f"both are {outputs.keep_dir}")
    sinks: list[Sink] = []
    folder = None
    if outputs.keep_dir is not None:
        folder = FrameFolder(outputs.keep_dir, max_bytes=outputs.keep_max_bytes, max_count=outputs.keep_max_frames)
    hook = None
    if outputs.on_keep is not None:
        hook = CommandHook.from_text(outputs.on_keep, path_of=None if folder is None else folder.path_of)
    if folder is not None:
        queue = None if hook is None else SinkQueue(hook, wait_s=wait_s, warn=say)
        sinks.append(KeptFrames(folder, then=queue))
        if queue is not None:
            sinks.append(HandedOn(queue))
    elif hook is not None:
        sinks.append(hook)
    if outputs.rejects_dir is not None:
        sinks.append(RejectedFrames(FrameFolder(outputs.rejects_dir), every=outputs.rejects_every))
    if outputs.scores is not None and str(outputs.scores) != "-":
        sinks.append(ScoresLog(outputs.scores))
    elif outputs.scores is not None or outputs.nothing_asked:
        sinks.append(StdoutScores())
    if outputs.mqtt is not None:
        sinks.append(MqttSink(parse_broker(outputs.mqtt), warn=say))
    return sinks
