"""The scores.jsonl of a run: one line of JSON per decided frame, rotated so that weeks of it fit on the disk."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from edge_iqa.camera.frame import Frame
from edge_iqa.camera.policy import Decision
from edge_iqa.camera.sinks import Sink
from edge_iqa.errors import SinkError


def decision_line(decision: Decision) -> dict[str, Any]:
    """Return what a line of scores.jsonl holds; ``scene_changed`` is there only where it is true."""
    line: dict[str, Any] = {
        "frame": decision.frame,
        "time_s": decision.time_s,
        "score": decision.score,
        "decision": "keep" if decision.keep else "drop",
        "reason": decision.reason,
        "age_ms": decision.age_ms,
    }
    if decision.scene_changed:
        line["scene_changed"] = True
    return line


class ScoresLog(Sink):
    """Writes scores.jsonl, each line as soon as its frame is decided.

    A file holds one run: that of an earlier run becomes ``NAME.1``, the one before ``NAME.2`` and so on, up to
    ``backups``; the same happens when the file reaches ``max_bytes``.
    """

    name = "scores"
    needs_pixels = False

    def __init__(self, path: Path, *, max_bytes: int = 100 << 20, backups: int = 5) -> None:
        self.path = path
        self.max_bytes = max_bytes
        self.backups = backups
        try:
            if path.is_dir():
                raise IsADirectoryError(0, "it is a folder")
            path.parent.mkdir(parents=True, exist_ok=True)
            self._start_file()
        except OSError as error:
            raise SinkError(f"{path} cannot be written", why=error.strerror or str(error)) from error

    def handle(self, frame: Frame, decision: Decision) -> None:
        data = (json.dumps(decision_line(decision)) + "\n").encode()
        if self._bytes and self._bytes + len(data) > self.max_bytes:
            self._file.close()
        if self._file.closed:  # also where starting the file failed at the last frame
            self._start_file()
        self._write(data)

    def close(self) -> None:
        self._file.close()

    def _write(self, data: bytes) -> None:
        """Write a whole line; where the disk takes only a part of it, the part is taken back."""
        try:
            written = self._file.write(data) or 0
            if written < len(data):
                written += self._file.write(data[written:]) or 0
            if written < len(data):
                raise OSError("the line was written in part only")
        except OSError:
            if self._file.seekable():
                self._file.truncate(self._bytes)
                self._file.seek(self._bytes)
            raise
        self._bytes += len(data)

    def _start_file(self) -> None:
        """Put an older file away and begin an empty one."""
        if self.backups > 0 and self.path.is_file() and self.path.stat().st_size > 0:
            self._rotate()
        self._file = self.path.open("wb", buffering=0)
        self._bytes = 0

    def _rotate(self) -> None:
        for index in range(self.backups - 1, 0, -1):
            older = self._backup(index)
            if older.exists():
                os.replace(older, self._backup(index + 1))
        os.replace(self.path, self._backup(1))

    def _backup(self, index: int) -> Path:
        return self.path.with_name(f"{self.path.name}.{index}")
