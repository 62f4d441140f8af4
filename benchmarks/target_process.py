"""The parent's side of a worker: starts it, sends commands, turns its answers and its death into errors."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from types import TracebackType
from typing import Any

from edge_iqa.errors import BackendMismatch, EdgeIqaError, all_errors

_ERRORS = {kind.code: kind for kind in all_errors()}


class TargetProcess:
    """A worker process for one target; a context manager that ends the process.

    What the worker's libraries print is kept in a temporary file and shown only in ``last_words``.
    """

    def __init__(self, label: str) -> None:
        self.label = label
        self._words = tempfile.TemporaryFile()  # noqa: SIM115 (closed by close())
        self._timed_out = threading.Event()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "edge_iqa.benchmarks.target_worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._words,
            text=True,
            encoding="utf-8",
            env={**os.environ, "PYTHONSAFEPATH": "1"},  # nothing is imported from the current folder
        )

    def ask(self, command: str, timeout_s: float = 600.0, **arguments: Any) -> dict[str, Any]:
        """Send a command and return the answer.

        Raises the error that the worker reports, and BackendMismatch where it dies or does not answer in
        time.
        """
        timer = threading.Timer(timeout_s, self._stop_late)
        timer.start()
        try:
            assert self._process.stdin is not None
            assert self._process.stdout is not None
            self._process.stdin.write(json.dumps({"command": command, **arguments}) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        finally:
            timer.cancel()
        if not line:
            raise self._death(command, timeout_s)
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            found = answer["error"]
            raise _ERRORS.get(found["code"], BackendMismatch)(found["what"], why=found["why"], fix=found["fix"])
        return answer

    def last_words(self, lines: int = 5) -> str:
        """Return the end of what the worker's libraries printed."""
        self._words.seek(0)
        return "\n".join(self._words.read().decode("utf-8", "replace").splitlines()[-lines:])

    def close(self) -> None:
        """End the process: it leaves when its stdin ends, and is killed if it does not. Twice is fine."""
        if self._words.closed:
            return
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._words.close()

    def __enter__(self) -> TargetProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _stop_late(self) -> None:
        self._timed_out.set()
        self._process.kill()

    def _death(self, command: str, timeout_s: float) -> EdgeIqaError:
        status = self._process.wait()
        if self._timed_out.is_set():
            why = f"it did not answer '{command}' within {timeout_s:.0f} s"
        elif status < 0:
            why = f"it was ended by {signal.Signals(-status).name} during '{command}'"
        else:
            why = f"it left with status {status} during '{command}'"
        return BackendMismatch(
            f"The process that measures {self.label} has ended",
            why=why,
            fix="try the runtime alone with --device, and another version of it",
        )
