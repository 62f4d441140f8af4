"""A real sshd on loopback for one test session: own keys, own configuration, a high port, no system file touched."""

from __future__ import annotations

import getpass
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class LoopbackSshd:
    """A running server; ``ssh_config`` is for the client, ``home`` the folder in which commands may work."""

    port: int
    ssh_config: Path
    home: Path
    process: subprocess.Popen[bytes]

    @property
    def host(self) -> str:
        return f"{getpass.getuser()}@127.0.0.1:{self.port}"

    def config(self, name: str, **changes: str) -> Path:
        """Write another client configuration with some options changed; return its path."""
        options = dict(line.split(" ", 1) for line in self.ssh_config.read_text().splitlines()) | changes
        lines = [f"{key} {value}" for key, value in options.items()]
        path = self.ssh_config.with_name(name)
        path.write_text("\n".join(lines) + "\n")
        return path

    def drop_connections(self) -> int:
        """Kill the server's process of every open connection; return how many there were."""
        dropped = 0
        for pid in _descendants(self.process.pid):
            name = _command(pid)
            if "sshd" in name:
                os.kill(pid, signal.SIGKILL)
                dropped += 1
        return dropped


def start_sshd(folder: Path) -> LoopbackSshd | None:
    """Start a server, or return None where there is none to start."""
    server = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}{os.pathsep}/usr/sbin{os.pathsep}/usr/local/sbin")
    if server is None or shutil.which("ssh") is None or shutil.which("ssh-keygen") is None:
        return None
    for name in ("host", "user", "stranger"):
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True, timeout=30
        )
    port = _free_port()
    (folder / "authorized").write_bytes((folder / "user.pub").read_bytes())
    host_key = (folder / "host.pub").read_text().split()[:2]
    (folder / "known").write_text(f"[127.0.0.1]:{port} {' '.join(host_key)}\n")
    stranger = (folder / "stranger.pub").read_text().split()[:2]
    (folder / "known_wrong").write_text(f"[127.0.0.1]:{port} {' '.join(stranger)}\n")
    (folder / "sshd_config").write_text(
        f"ListenAddress 127.0.0.1\nPort {port}\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/authorized\n"
        f"PidFile none\nStrictModes no\nUsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n"
        "PermitRootLogin prohibit-password\nLogLevel ERROR\n"
    )
    (folder / "ssh_config").write_text(
        f"IdentityFile {folder}/user\nIdentitiesOnly yes\nIdentityAgent none\nUserKnownHostsFile {folder}/known\n"
        "GlobalKnownHostsFile /dev/null\n"
    )
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # where sshd, as root, insists on separating its privileges
    home = folder / "home"
    home.mkdir()
    with (folder / "sshd.log").open("wb") as log:
        process = subprocess.Popen([server, "-D", "-e", "-f", str(folder / "sshd_config")], stderr=log)
    for _ in range(100):
        if process.poll() is not None:
            return None
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return LoopbackSshd(port, folder / "ssh_config", home, process)
        time.sleep(0.1)
    process.kill()
    return None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _descendants(pid: int) -> list[int]:
    found: list[int] = []
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, children.read_text().split()):
            found += [child]
            if "sshd" in _command(child):
                found += _descendants(child)
    return found


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").split(" -c ")[0]
    except OSError:
        return ""


@pytest.fixture(scope="session")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoopbackSshd]:
    """Return a server that runs for all tests; skips where there is none to start."""
    server = start_sshd(tmp_path_factory.mktemp("sshd"))
    if server is None:
        pytest.skip("no usable sshd here: apt install openssh-server")
    yield server
    server.process.kill()
    server.process.wait()
