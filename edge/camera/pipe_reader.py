"""Exact reads from a pipe, with a time limit and a way to be woken."""

from __future__ import annotations

import os
import select
import time

from edge_iqa.errors import CameraCodec, CameraStalled

_POLL_S = 0.25
_LONGEST_LINE = 4096


class PipeReader:
    """Reads a file descriptor of this process; ``stall_s`` None waits for ever. POSIX only."""

    def __init__(self, descriptor: int, name: str, stall_s: float | None) -> None:
        self._descriptor = descriptor
        self._name = name
        self.stall_s = stall_s
        self._held = b""  # read beyond what was asked for
        self._interrupted = False

    def interrupt(self) -> None:
        """Let a waiting read end as if the pipe had."""
        self._interrupted = True

    def line(self) -> bytes:
        """Return the next line without its end; empty at the end of the pipe. Raises CameraCodec for a long one."""
        while b"\n" not in self._held:
            if len(self._held) > _LONGEST_LINE:
                raise CameraCodec(f"{self._name} sends something other than frames", why="no line end in the header")
            more = bytearray(_LONGEST_LINE)
            size = self._read_some(memoryview(more))
            if size == 0:
                break
            self._held += more[:size]
        line, _, self._held = self._held.partition(b"\n")
        return line

    def fill(self, target: memoryview) -> int:
        """Fill ``target``; return how many bytes came, fewer only at the end of the pipe."""
        done = min(len(self._held), len(target))
        target[:done] = self._held[:done]
        self._held = self._held[done:]
        while done < len(target):
            size = self._read_some(target[done:])
            if size == 0:
                break
            done += size
        return done

    def _read_some(self, target: memoryview) -> int:
        end = None if self.stall_s is None else time.monotonic() + self.stall_s
        while not self._interrupted:
            ready, _, _ = select.select([self._descriptor], [], [], _POLL_S)
            if ready:
                return os.readv(self._descriptor, [target])
            if end is not None and time.monotonic() > end:
                raise CameraStalled(f"{self._name} sends no frames", why=f"nothing for {self.stall_s:g} s")
        return 0
