"""One job on another machine over ssh: push, start, follow, fetch, clean up; a dropped line is made again."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from edge_iqa.benchmarks import remote_probe, remote_receive
from edge_iqa.benchmarks.remote_job import NO_SPACE, JobStatus, error_from
from edge_iqa.benchmarks.remote_package import RUNNER, Push, PushFile
from edge_iqa.benchmarks.remote_runner import LOG_MARK, STATUS_MARK
from edge_iqa.benchmarks.result_files import MAX_RESULT_BYTES
from edge_iqa.devices.ssh import NOT_EXECUTABLE, NOT_FOUND, Finished, SshHost
from edge_iqa.errors import (
    ConnectionLost,
    EdgeIqaError,
    HostDiskFull,
    HostUnprepared,
    HostUnreachable,
    RemoteRunFailed,
)
from edge_iqa.spec import from_document

Say = Callable[[str], None]
RECONNECT_SECONDS = (1, 2, 4, 8, 15, 30, 30, 30)
_UNPACKED = 3  # times the pushed bytes: the archives, what they hold unpacked, logs and caches
_CHUNK_BYTES = 1 << 18
_THERE = remote_receive.THERE.encode()


class RemoteSession:
    """One job on one machine, from the first look at it to the removal of its folder."""

    def __init__(self, ssh: SshHost, push: Push, say: Say) -> None:
        self._ssh = ssh
        self._push = push
        self._say = say
        self._python = ssh.spec.python
        self._folder = f"{ssh.spec.folder}/{push.session}"
        self._log_bytes = 0
        self.reconnects = 0

    def run(self) -> tuple[JobStatus, bytes]:
        """Return how the job ended and its result; the folder there is removed unless the line is lost for good."""
        self._prepare()
        try:
            for file in self._push.files:
                self._persist(lambda file=file: self._upload(file))  # type: ignore[misc]
            started = json.loads(self._persist(lambda: self._runner("start")))
            if started["state"] != "started":
                self._say(f"a job for the same bundle and pictures is there already ({started['state']}): taken over")
            status = self._persist(self._follow)
            if status.error is not None:
                raise error_from(status.error)
            content = self._persist(lambda: self._fetch(status))
        except (ConnectionLost, HostUnreachable):
            raise  # the job may go on there, and the next attempt takes it over
        except BaseException:
            self._clean_up(stop=True)
            raise
        self._clean_up(stop=False)
        return status, content

    def _prepare(self) -> None:
        """Look at the machine: Python, packages, and room beside what an earlier attempt left in the folder."""
        code = Path(remote_probe.__file__).read_text(encoding="utf-8")
        words = [self._python, "-c", code, self._ssh.spec.folder, self._push.session]
        answer, finished = self._ssh.run(words)
        host = self._ssh.spec.host
        if finished.status in (NOT_FOUND, NOT_EXECUTABLE):
            raise HostUnprepared(
                f"There is no {self._python} on {host}",
                why=finished.words,
                fix="install Python 3.10 or newer there, or name its interpreter with --host-python",
            )
        facts = _json_line(answer)
        if facts is None:
            raise HostUnprepared(f"{self._python} on {host} does not answer", why=finished.words)
        self._raise_for_disk(facts)
        if not facts["usable"]:
            raise HostUnprepared(
                f"Python on {host} is {facts['python']}", why="3.10 or newer is needed", fix="name it: --host-python"
            )
        if facts["missing"]:
            packages = " ".join({"cv2": "opencv-python-headless"}.get(name, name) for name in facts["missing"])
            raise HostUnprepared(
                f"Python on {host} lacks {', '.join(facts['missing'])}",
                why="the runner that is sent brings edge-iqa, not the runtimes",
                fix=f"there: {self._python} -m pip install {packages}",
            )
        present: dict[str, int] = facts["present"]
        needed = self._push.size_bytes * _UNPACKED - sum(present.values())
        if facts["free_bytes"] < needed:
            self._clean_up(stop=False)
            raise HostDiskFull(
                f"{host} has no room for the benchmark",
                why=f"{facts['free_bytes'] / 1e6:.1f} MB are free in {self._folder}, {needed / 1e6:.1f} are needed",
                fix="free some space there, send fewer pictures (--drift-images), or name a --host-folder",
            )
        self._say(f"Python {facts['python']}, {facts['free_bytes'] / 1e9:.1f} GB free")

    def _upload(self, file: PushFile) -> None:
        """Send what is not there yet of one file, and check what arrived."""
        code = Path(remote_receive.__file__).read_text(encoding="utf-8")
        target = f"{self._folder}/{file.name}"
        words = [self._python, "-c", code, target, str(file.size_bytes)]
        with self._ssh.open(words) as command, file.path.open("rb") as source:
            heard = command.stdout.readline()
            while heard and not heard.startswith(_THERE) and _json_line(heard) is None:
                heard = command.stdout.readline()
            if heard.startswith(_THERE):
                there = int(heard[len(_THERE) :])
                if there < file.size_bytes:
                    self._say(f"sending {file.name}: {(file.size_bytes - there) / 1e6:.1f} MB")
                source.seek(there)
                with contextlib.suppress(BrokenPipeError):  # the other side says why
                    shutil.copyfileobj(source, command.stdin, _CHUNK_BYTES)
                    command.stdin.close()
            else:
                self._raise_for_disk(_json_line(heard) or {})
            answer = _json_line(command.stdout.read())
            finished = command.finish()
        if answer is None:
            self._raise_for_end(finished, "receiving a file")
        self._raise_for_disk(answer)
        if answer["sha256"] != file.sha256:
            self._ssh.run(["rm", "-f", "--", target])
            raise ConnectionLost(f"{file.name} arrived altered", why="its sha256 is another", fix="run it again")

    def _follow(self) -> JobStatus:
        """Pass on the log until the job has ended."""
        words = [*self._runner_words("follow"), str(self._log_bytes)]
        with self._ssh.open(words) as command:
            for line in command.stdout:
                if not line.endswith(b"\n"):
                    break  # cut off with the line
                if line.startswith(STATUS_MARK):
                    return self._read_status(line[len(STATUS_MARK) :])
                if line.startswith(LOG_MARK):
                    self._log_bytes += len(line) - len(LOG_MARK)
                    self._say(line[len(LOG_MARK) :].decode("utf-8", "replace").rstrip())
            self._raise_for_end(command.finish(), "following the job")

    def _read_status(self, line: bytes) -> JobStatus:
        document = _json_line(line)
        if document is None or document.get("died"):
            log, _ = self._ssh.run(["tail", "-n", "5", "--", f"{self._folder}/log.txt"])
            raise RemoteRunFailed(
                f"The benchmark on {self._ssh.spec.host} ended without a result",
                why=" ".join(log.decode("utf-8", "replace").split())[-400:],
                fix="look there for want of memory (dmesg); fewer threads or pictures need less",
            )
        return from_document(JobStatus, document, "the status")

    def _fetch(self, status: JobStatus) -> bytes:
        content = self._runner("fetch", timeout_s=600)[-status.result_bytes :]
        if len(content) > MAX_RESULT_BYTES or hashlib.sha256(content).hexdigest() != status.result_sha256:
            raise ConnectionLost("The result arrived altered", why="its sha256 is another", fix="run it again")
        return content

    def _runner(self, verb: str, timeout_s: float = 120.0) -> bytes:
        answer, finished = self._ssh.run(self._runner_words(verb), timeout_s)
        if finished.status != 0:
            self._raise_for_end(finished, verb)
        return answer

    def _runner_words(self, verb: str) -> list[str]:
        return [self._python, f"{self._folder}/{RUNNER}", verb, self._folder]

    def _clean_up(self, stop: bool) -> None:
        """Remove the session's folder there, its process first; a machine that is gone is left as it is."""
        script = 'rm -rf -- "$1"; rmdir -- "$2" 2>/dev/null; true'
        try:
            if stop:
                self._ssh.run(self._runner_words("stop"))
            self._ssh.run(["sh", "-c", script, "sh", self._folder, self._ssh.spec.folder])
        except EdgeIqaError as error:
            self._say(f"{self._folder} on {self._ssh.spec.host} could not be removed: {error.what}")

    def _persist(self, action: Callable[[], Any]) -> Any:
        """Repeat ``action`` while the line drops, with longer and longer pauses between."""
        for seconds in RECONNECT_SECONDS:
            try:
                return action()
            except (ConnectionLost, HostUnreachable) as error:
                self.reconnects += 1
                self._say(f"{error.what}; trying again in {seconds} s")
                time.sleep(seconds)
        return action()

    def _raise_for_disk(self, answer: dict[str, Any]) -> None:
        if "error" not in answer:
            return
        if answer["number"] in NO_SPACE:
            raise HostDiskFull(
                f"The disk of {self._ssh.spec.host} is full",
                why=str(answer["error"]),
                fix="free some space there, send fewer pictures (--drift-images), or name a --host-folder",
            )
        raise HostUnprepared(
            f"{self._folder} on {self._ssh.spec.host} cannot be written",
            why=str(answer["error"]),
            fix="name a folder that the user may write to: --host-folder",
        )

    def _raise_for_end(self, finished: Finished, doing: str) -> NoReturn:
        if "No space left on device" in finished.words:
            self._raise_for_disk({"error": "No space left on device", "number": errno.ENOSPC})
        raise RemoteRunFailed(
            f"{self._ssh.spec.host} ended '{doing}' with status {finished.status}", why=finished.words[-400:]
        )


def _json_line(data: bytes) -> dict[str, Any] | None:
    """Return the object on the last line, None where there is none; a login may print words of its own before."""
    for line in reversed(data.splitlines()):
        try:
            found = json.loads(line)
        except ValueError:
            continue
        if isinstance(found, dict):
            return found
    return None
