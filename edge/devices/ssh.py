"""Run commands on another machine with the system's ssh: no password asked, no unknown host key accepted."""

from __future__ import annotations

import contextlib
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import IO

from edge_iqa.devices.hosts import HostSpec, parse_address
from edge_iqa.errors import (
    ConnectionLost,
    HostKeyRefused,
    HostLoginRefused,
    HostUnreachable,
    MissingDependency,
    RemoteError,
)

SSH_FAILED = 255
NOT_EXECUTABLE, NOT_FOUND = 126, 127
CONNECT_SECONDS = 10
ALIVE_SECONDS = 5
# Command-line options come before any configuration file, so that none of these can be switched off there.
_OPTIONS = {
    "BatchMode": "yes",
    "StrictHostKeyChecking": "yes",
    "ConnectTimeout": str(CONNECT_SECONDS),
    "ServerAliveInterval": str(ALIVE_SECONDS),
    "ServerAliveCountMax": "3",
    "ForwardAgent": "no",
    "ForwardX11": "no",
    "ClearAllForwardings": "yes",
    "PermitLocalCommand": "no",
    "ControlPath": "none",
    "LogLevel": "ERROR",
}
_KEY_REFUSED = re.compile(
    r"host key verification failed|identification has changed|host key is known|no matching host key"
)
_LOGIN_REFUSED = re.compile(r"permission denied|too many authentication failures|no supported authentication")
_UNREACHABLE = re.compile(
    r"could not resolve|connection refused|no route to host|network is unreachable|connect to host|name or service"
)


@dataclass(frozen=True)
class Finished:
    """What a command left: its exit status, and the end of what it wrote to stderr."""

    status: int
    words: str


class SshHost:
    """One machine behind ssh; every command is a connection of its own."""

    def __init__(self, spec: HostSpec) -> None:
        if shutil.which("ssh") is None:
            raise MissingDependency("There is no ssh on this machine", fix="apt install openssh-client")
        self.spec = spec

    def arguments(self, words: Sequence[str]) -> list[str]:
        """Return the argument list that runs ``words`` there, each quoted for the shell that sshd starts."""
        address = parse_address(self.spec.host)
        options = [word for key, value in _OPTIONS.items() for word in ("-o", f"{key}={value}")]
        if self.spec.ssh_config is not None:
            options += ["-F", self.spec.ssh_config]
        if address.port is not None:
            options += ["-p", str(address.port)]
        if address.user is not None:
            options += ["-l", address.user]
        return ["ssh", "-T", *options, "--", address.name, shlex.join(words)]

    def run(self, words: Sequence[str], timeout_s: float = 60.0) -> tuple[bytes, Finished]:
        """Run a command without input; return its stdout and how it ended.

        Raises RemoteError or one of its kinds where ssh itself failed or time ran out.
        """
        try:
            done = subprocess.run(
                self.arguments(words), stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout_s, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise ConnectionLost(f"{self.spec.host} did not answer within {timeout_s:.0f} s") from error
        finished = Finished(done.returncode, _tail(done.stderr))
        self.check(finished)
        return done.stdout, finished

    @contextlib.contextmanager
    def open(self, words: Sequence[str]) -> Iterator[OpenCommand]:
        """Start a command with its stdin and stdout open; it is ended when the block is left."""
        process = subprocess.Popen(
            self.arguments(words), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        try:
            yield OpenCommand(self, process)
        finally:
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream is not None:
                    with contextlib.suppress(BrokenPipeError):
                        stream.close()
            process.kill()
            process.wait()

    def check(self, finished: Finished) -> None:
        """Raise what ssh's own failure means; a command's exit status is the caller's to judge."""
        if finished.status == SSH_FAILED or finished.status < 0:
            raise ssh_error(self.spec.host, finished.words)


class OpenCommand:
    """A command that is running on another machine."""

    def __init__(self, host: SshHost, process: subprocess.Popen[bytes]) -> None:
        self._host = host
        self._process = process
        assert process.stdin is not None
        assert process.stdout is not None
        self.stdin: IO[bytes] = process.stdin
        self.stdout: IO[bytes] = process.stdout

    def finish(self) -> Finished:
        """Close stdin, wait for the end, and return how it ended; raises where ssh itself failed."""
        with contextlib.suppress(BrokenPipeError):
            self.stdin.close()
        self.stdout.read()
        assert self._process.stderr is not None
        words = _tail(self._process.stderr.read())
        finished = Finished(self._process.wait(), words)
        self._host.check(finished)
        return finished


def ssh_error(host: str, words: str) -> RemoteError:
    """Return the error that ssh's last words mean."""
    low = words.lower()
    why = " ".join(words.split())[-300:]
    if _KEY_REFUSED.search(low):
        return HostKeyRefused(
            f"The host key of {host} is not one that is known",
            why=why,
            fix="compare its fingerprint on the device, then log in once by hand: ssh USER@HOST",
        )
    if _LOGIN_REFUSED.search(low):
        return HostLoginRefused(f"{host} does not accept the login", why=why, fix="ssh-copy-id USER@HOST")
    if _UNREACHABLE.search(low):
        return HostUnreachable(f"{host} cannot be reached", why=why, fix="check name, port, cable and that sshd runs")
    return ConnectionLost(
        f"The connection to {host} was lost",
        why=why or "ssh ended without a word",
        fix="run the same command again: it goes on where it was",
    )


def _tail(data: bytes, limit: int = 2000) -> str:
    return data[-limit:].decode("utf-8", "replace").strip()
