"""A sink that runs a command of the user's for each kept frame, as a list of arguments and never through a shell."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from edge_iqa.camera.frame import Frame
from edge_iqa.camera.policy import Decision
from edge_iqa.camera.scores_log import decision_line
from edge_iqa.camera.sinks import Sink
from edge_iqa.errors import SinkError

_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_NAMES = ("frame", "score", "time_s", "reason", "path")


class CommandHook(Sink):
    """Runs ``arguments`` for each kept frame and waits for it, at most ``timeout_s``.

    In the arguments ``{frame}``, ``{score}``, ``{time_s}``, ``{reason}`` and, with ``path_of``, ``{path}`` are
    replaced; the command also gets the frame's line of scores.jsonl on its standard input. Its standard output is
    discarded, its standard error is this program's. A status other than 0 raises, as does the time limit, after which
    the command and all it started are killed.
    """

    name = "hook"
    needs_pixels = False

    def __init__(
        self, arguments: Sequence[str], *, path_of: Callable[[int], Path] | None = None, timeout_s: float = 10.0
    ) -> None:
        if not arguments or shutil.which(arguments[0]) is None:
            raise SinkError(
                f"The hook's program {arguments[0] if arguments else ''!r} is not there",
                fix="give the path of a program, and make the file executable",
            )
        for name in _PLACEHOLDER.findall(" ".join(arguments)):
            if name not in _NAMES or (name == "path" and path_of is None):
                why = "frames are not written to a folder" if name == "path" else ""
                raise SinkError(f"The hook has an unknown {{{name}}}", why=why, fix=f"known: {', '.join(_NAMES)}")
        self.arguments = list(arguments)
        self.path_of = path_of
        self.timeout_s = timeout_s

    @classmethod
    def from_text(cls, text: str, *, path_of: Callable[[int], Path] | None = None) -> CommandHook:
        """Make a hook from one string, split into arguments as a shell would, but not run by one."""
        try:
            return cls(shlex.split(text), path_of=path_of)
        except ValueError as error:
            raise SinkError(f"The hook {text!r} cannot be split into arguments", why=str(error)) from error

    def wants(self, decision: Decision) -> bool:
        return decision.keep

    def handle(self, frame: Frame, decision: Decision) -> None:
        line = decision_line(decision)
        values = {name: str(line[name]) for name in _NAMES if name in line}
        if self.path_of is not None:
            values["path"] = str(self.path_of(frame.number))
        arguments = [_PLACEHOLDER.sub(lambda found: values[found[1]], argument) for argument in self.arguments]
        process = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True)
        try:
            process.communicate(json.dumps(line).encode() + b"\n", timeout=self.timeout_s)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            raise SinkError(f"the command took longer than {self.timeout_s:g} s and was ended") from None
        if process.returncode != 0:
            raise SinkError(f"the command ended with status {process.returncode}")
