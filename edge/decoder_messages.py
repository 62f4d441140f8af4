"""What OpenCV and its libraries write to the standard error while they decode a picture, and nothing else of it.

libjpeg and libpng write to file descriptor 2, which belongs to the whole process. It points to a file for the length
of one decoding, under a lock, so that a line has one picture it can come from. What others write meanwhile is known by
not being such a message, and is passed on.

The file stays for the life of the process: a thread that was interrupted in the middle of writing, or a child process
that was started meanwhile, writes to it after the decoding has ended. Such lines are passed on with the next decoding,
or at exit; no picture is judged by them.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import re
import sys
import tempfile
import threading
from collections.abc import Iterable, Iterator

_LIBRARY_LINE = re.compile(
    rb"Corrupt JPEG data|Premature end of JPEG|Inconsistent progression|Invalid SOS parameters"
    rb"|Unknown Adobe color transform|Warning: unknown JFIF|Application transferred too many|libpng "
    rb"|\[ *(FATAL|ERROR|WARN|INFO|DEBUG)|> |where$|\s*$"
)
_STDERR = 2
_LOG_LEVEL_WARNING = 3  # the same number in OpenCV 4 and 5
_LARGEST_FILE_BYTES = 1 << 20
_lock = threading.Lock()
_file: _MessageFile | None = None


@contextlib.contextmanager
def library_messages(lines: list[bytes]) -> Iterator[None]:
    """Append to ``lines`` what the decoders write to the standard error meanwhile, and keep it off the terminal."""
    with _lock:
        try:
            os.fstat(_STDERR)
        except OSError:  # a service without a standard error: nothing to keep clean, nothing to read
            yield
            return
        file = _present_file()
        late = file.new_lines()
        kept_stderr = os.dup(_STDERR)
        log_level = _set_opencv_log_level(_LOG_LEVEL_WARNING)
        os.dup2(file.descriptor, _STDERR)
        try:
            yield
        finally:
            os.dup2(kept_stderr, _STDERR)
            os.close(kept_stderr)
            _set_opencv_log_level(log_level)
            written = file.new_lines()
            lines += [line.rstrip() for line in written if _LIBRARY_LINE.match(line)]
            _pass_on([*late, *(line for line in written if not _LIBRARY_LINE.match(line))])


class _MessageFile:
    """A file without a name, in memory on Linux, whose disk may be read-only; and how far it has been read."""

    def __init__(self) -> None:
        self.process = os.getpid()
        self.read_bytes = 0
        if sys.platform == "linux":
            self.descriptor = os.memfd_create("edge-iqa-decoder-messages")
        else:
            with tempfile.TemporaryFile() as file:
                self.descriptor = os.dup(file.fileno())
        if sys.platform != "win32":
            import fcntl

            # appended: two threads that write at one time must not overwrite each other's lines
            fcntl.fcntl(self.descriptor, fcntl.F_SETFL, os.O_APPEND)

    def new_lines(self) -> list[bytes]:
        """Return the lines that were written since the last call."""
        os.lseek(self.descriptor, self.read_bytes, os.SEEK_SET)
        written = b"".join(iter(lambda: os.read(self.descriptor, 1 << 16), b""))
        self.read_bytes += len(written)
        return written.splitlines(keepends=True)


def _present_file() -> _MessageFile:
    """Return this process's file: a forked child makes its own, and a large one, read to its end, makes way."""
    global _file
    if _file is not None and _file.process == os.getpid() and _file.read_bytes > _LARGEST_FILE_BYTES:
        os.close(_file.descriptor)
        _file = None
    if _file is None or _file.process != os.getpid():
        _file = _MessageFile()
    return _file


@atexit.register
def _pass_on_what_is_left() -> None:
    if _file is not None and _file.process == os.getpid():
        _pass_on(_file.new_lines())


def _pass_on(lines: Iterable[bytes]) -> None:
    with contextlib.suppress(OSError):
        os.write(_STDERR, b"".join(lines))


def _set_opencv_log_level(level: int) -> int:
    """Set what OpenCV reports and return the former level; the function's place differs between 4 and 5."""
    import cv2

    set_level = cv2.setLogLevel if hasattr(cv2, "setLogLevel") else cv2.utils.logging.setLogLevel
    return int(set_level(level))
