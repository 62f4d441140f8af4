"""Remote benchmarks through a real sshd on loopback: the rows, and everything that can go wrong on the way."""

from __future__ import annotations

import dataclasses
import json
import os
import shlex
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge_iqa.benchmarks import remote_package, remote_session
from edge_iqa.benchmarks.pictures import collect_pictures
from edge_iqa.benchmarks.remote import bench_remotely
from edge_iqa.benchmarks.remote_package import RUNNER, make_push, write_runner
from edge_iqa.benchmarks.result_files import read_result
from edge_iqa.benchmarks.run import BenchRequest, run_bench
from edge_iqa.benchmarks.sampling import SamplingPlan
from edge_iqa.benchmarks.verdict import Bars
from edge_iqa.devices.hosts import HostSpec, parse_address, read_hosts
from edge_iqa.devices.ssh import SshHost, ssh_error
from edge_iqa.errors import (
    BarMissed,
    ConnectionLost,
    DeviceUnavailable,
    HostDiskFull,
    HostKeyRefused,
    HostLoginRefused,
    HostUnprepared,
    HostUnreachable,
    InvalidInput,
    RemoteRunFailed,
)

PLAN = SamplingPlan("short", 12, 0.0, rounds=1, settle_samples=0, warmup_min_seconds=0.0, warmup_max_seconds=0.05)


LONG_ENOUGH_TO_BE_MET = dataclasses.replace(PLAN, min_seconds=4.0)


@pytest.fixture
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote_session, "RECONNECT_SECONDS", (0.2, 0.2, 0.2))


@dataclasses.dataclass(frozen=True)
class There:
    """The other side of one test: the server, and a folder of its own to work in."""

    sshd: Any
    work: Path

    def spec(self, **changes: Any) -> HostSpec:
        values = {"python": sys.executable, "folder": str(self.work), "ssh_config": str(self.sshd.ssh_config)}
        return HostSpec(self.sshd.host, **{**values, **changes})


@pytest.fixture
def there(sshd: Any, tmp_path: Path) -> There:
    return There(sshd, tmp_path / "there")


@pytest.fixture(scope="session")
def runner(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("runner") / RUNNER
    write_runner(path)
    return path.read_bytes()


@pytest.fixture(autouse=True)
def one_runner_for_all(runner: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote_package, "write_runner", lambda path: path.write_bytes(runner))


@pytest.fixture
def request_(sharpness_bundle: Path, bench_pictures: Path) -> BenchRequest:
    return BenchRequest(
        sharpness_bundle, "onnxruntime", PLAN, "fp32", bench_pictures, 1, threshold=0.4, waterfall=False
    )


@pytest.fixture
def longer(request_: BenchRequest) -> BenchRequest:
    """Return a benchmark that still runs when its first line has come over."""
    return dataclasses.replace(request_, plan=LONG_ENOUGH_TO_BE_MET)


def test_the_remote_rows_are_the_local_ones(
    there: There, request_: BenchRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # neither of these is installed on a device that has only the runtime
    for package in ("typer", "rich", "torch", "onnx"):
        (tmp_path / f"{package}.py").write_text("raise ImportError('not on a device')")
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexport PYTHONPATH={shlex.quote(str(tmp_path))}\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    said: list[str] = []
    request_ = dataclasses.replace(request_, waterfall=True, precision="all")
    local = run_bench(request_).result
    outcome = bench_remotely(there.spec(python=str(python)), request_, said.append, "nano")
    result = outcome.result
    assert [row.label for row in result.rows] == [row.label for row in local.rows]
    assert [row.scores for row in result.rows] == [row.scores for row in local.rows]
    assert [row.drift for row in result.rows] == [row.drift for row in local.rows]
    assert all(row.latency_ms.n >= 12 for row in result.rows)
    assert result.images == local.images
    assert result.bundle == local.bundle
    assert [step.step for step in result.waterfall] == [step.step for step in local.waterfall]
    assert result.remote is not None
    assert (result.remote.name, result.remote.reconnects) == ("nano", 0)
    assert result.host.cpus == local.host.cpus
    assert any("scoring" in line for line in said)
    assert any(str(there.work) in line for line in said if line.startswith("running edge-iqa"))
    assert not there.work.exists()


def test_a_killed_connection_is_made_again(there: There, longer: BenchRequest, quick_retries: None) -> None:
    dropped: list[int] = []

    def drop(line: str) -> None:
        if line.startswith("running edge-iqa"):
            dropped.append(there.sshd.drop_connections())

    outcome = bench_remotely(there.spec(), longer, drop)
    assert sum(dropped) >= 1
    assert outcome.result.remote is not None
    assert outcome.result.remote.reconnects >= 1
    assert len(outcome.result.rows) == 1


def test_a_lost_line_leaves_the_job_and_the_next_attempt_takes_it_over(
    there: There, longer: BenchRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_session, "RECONNECT_SECONDS", ())

    def drop(line: str) -> None:
        if line.startswith("running edge-iqa"):
            there.sshd.drop_connections()

    with pytest.raises(ConnectionLost, match="lost"):
        bench_remotely(there.spec(), longer, drop)
    (session,) = there.work.iterdir()
    sent = (session / "data.zip").stat().st_mtime_ns
    deadline = time.monotonic() + 120
    while not (session / "status.json").exists() and time.monotonic() < deadline:
        time.sleep(0.2)
    said: list[str] = []
    outcome = bench_remotely(there.spec(), longer, said.append)
    assert len(outcome.result.rows) == 1
    assert any("taken over" in line for line in said)
    assert not any("sending" in line for line in said)
    assert sent > 0
    assert not session.exists()


def test_a_half_sent_file_is_continued(there: There, request_: BenchRequest, tmp_path: Path) -> None:
    pictures = collect_pictures(request_.images, 300, 0)
    assert request_.bundle is not None
    push = make_push(tmp_path, request_.bundle, pictures, request_)
    again = tmp_path / "again"
    again.mkdir()
    assert make_push(again, request_.bundle, pictures, request_).session == push.session
    session = there.work / push.session
    session.mkdir(parents=True)
    data = next(file for file in push.files if file.name == "data.zip")
    (session / "data.zip").write_bytes(data.path.read_bytes()[: data.size_bytes // 2])
    said: list[str] = []
    bench_remotely(there.spec(), request_, said.append)
    line = next(line for line in said if line.startswith("sending data.zip"))
    left = data.size_bytes - data.size_bytes // 2
    assert line == f"sending data.zip: {left / 1e6:.1f} MB"


@pytest.mark.parametrize("kind", ["link", "open to all"])
def test_a_session_folder_that_others_could_fill_is_refused(
    kind: str, there: There, request_: BenchRequest, tmp_path: Path
) -> None:
    pictures = collect_pictures(request_.images, 300, 0)
    assert request_.bundle is not None
    session = there.work / make_push(tmp_path, request_.bundle, pictures, request_).session
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    there.work.mkdir()
    if kind == "link":
        session.symlink_to(elsewhere)
    else:
        session.mkdir()
        session.chmod(0o777)
    with pytest.raises(HostUnprepared, match="this user alone"):
        bench_remotely(there.spec(), request_, lambda _: None)
    assert not any(elsewhere.iterdir())
    assert session.is_symlink() or not any(session.iterdir())


def test_a_wrong_host_key_is_refused_and_nothing_is_sent(there: There, request_: BenchRequest) -> None:
    known = there.sshd.ssh_config.parent / "known_wrong"
    config = there.sshd.config("wrong_key", UserKnownHostsFile=str(known), StrictHostKeyChecking="no")
    with pytest.raises(HostKeyRefused) as caught:
        bench_remotely(there.spec(ssh_config=str(config)), request_, print)
    assert caught.value.exit_code == 4
    assert not there.work.exists()


def test_an_unknown_host_key_is_refused(there: There, request_: BenchRequest) -> None:
    with pytest.raises(HostKeyRefused):
        bench_remotely(
            there.spec(ssh_config=str(there.sshd.config("no_key", UserKnownHostsFile="/dev/null"))), request_, print
        )


def test_a_login_that_is_not_accepted(there: There, request_: BenchRequest) -> None:
    config = there.sshd.config("stranger_config", IdentityFile=str(there.sshd.ssh_config.parent / "stranger"))
    with pytest.raises(HostLoginRefused, match="does not accept"):
        bench_remotely(there.spec(ssh_config=str(config)), request_, print)


def test_a_dead_host(request_: BenchRequest) -> None:
    if shutil.which("ssh") is None:
        pytest.skip("no ssh here")
    with pytest.raises(HostUnreachable, match="cannot be reached"):
        bench_remotely(HostSpec("nobody@127.0.0.1:9"), request_, print)


@pytest.mark.parametrize("python", ["python-that-is-not-there", "/bin/true"])
def test_no_python(python: str, there: There, request_: BenchRequest) -> None:
    with pytest.raises(HostUnprepared, match=r"no python-that|does not answer"):
        bench_remotely(there.spec(python=python), request_, print)


def test_a_python_without_the_runtime(there: There, request_: BenchRequest, tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec {os.path.realpath(sys.executable)} -I -S "$@"\n')
    python.chmod(0o755)
    with pytest.raises(HostUnprepared, match="onnxruntime") as caught:
        bench_remotely(there.spec(python=str(python)), request_, print)
    assert "pip install numpy opencv-python-headless onnxruntime" in caught.value.fix


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Return a file system with one megabyte."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("only root can mount a small file system")
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True, check=False, timeout=30
    )
    if mounted.returncode != 0:
        pytest.skip(f"no mount here: {mounted.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True, timeout=30)


def test_a_disk_with_too_little_room_is_noticed_before_sending(
    there: There, request_: BenchRequest, small_disk: Path
) -> None:
    with pytest.raises(HostDiskFull, match="no room"):
        bench_remotely(there.spec(folder=str(small_disk / "work")), request_, print)
    assert list(small_disk.iterdir()) == []


def test_a_disk_that_fills_up_while_sending(
    there: There, request_: BenchRequest, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_session, "_UNPACKED", 0)
    (small_disk / "ballast").write_bytes(bytes(900_000))
    with pytest.raises(HostDiskFull, match="full"):
        bench_remotely(there.spec(folder=str(small_disk / "work")), request_, print)
    assert [entry.name for entry in small_disk.iterdir()] == ["ballast"]


def test_a_job_that_is_killed_there(there: There, longer: BenchRequest) -> None:
    said: list[str] = []

    def kill(line: str) -> None:
        said.append(" ".join(line.split()))
        if line.startswith("running edge-iqa"):
            (session,) = there.work.iterdir()
            os.kill(int((session / "pid").read_text()), 9)

    with pytest.raises(RemoteRunFailed, match="without a result") as caught:
        bench_remotely(there.spec(), longer, kill)
    assert any(line and line in caught.value.why for line in said)  # the last lines of its log
    assert not there.work.exists()


def test_errors_of_the_benchmark_itself_arrive_as_they_are(there: There, request_: BenchRequest) -> None:
    with pytest.raises(DeviceUnavailable) as caught:
        bench_remotely(there.spec(), dataclasses.replace(request_, device="jetson"), print)
    assert "JetPack" in caught.value.fix
    outcome = bench_remotely(
        there.spec(), dataclasses.replace(request_, bars=Bars(max_p90_ms=1e-6), precision="int8"), print
    )
    with pytest.raises(BarMissed):
        outcome.raise_problems()


def test_an_interrupted_session_ends_its_job(there: There, longer: BenchRequest) -> None:
    pids: list[int] = []

    def interrupt(line: str) -> None:
        if line.startswith("running edge-iqa"):
            (session,) = there.work.iterdir()
            pids.append(int((session / "pid").read_text()))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bench_remotely(there.spec(), longer, interrupt)
    assert not there.work.exists()
    command = Path(f"/proc/{pids[0]}/cmdline")
    assert not command.exists() or command.read_bytes() == b""


def test_the_runner_is_one_file_without_assets(request_: BenchRequest, tmp_path: Path) -> None:
    assert request_.bundle is not None
    make_push(tmp_path, request_.bundle, collect_pictures(request_.images, 300, 0), request_)
    with zipfile.ZipFile(tmp_path / RUNNER) as archive:
        names = archive.namelist()
    assert "__main__.py" in names
    assert "package/edge_iqa/benchmarks/target_worker.py" in names
    assert "package/edge_iqa/devices/ssh.py" in names
    assert not [name for name in names if "assets" in name or "/models/" in name or name.endswith(".pyc")]
    job = json.loads((tmp_path / "job.json").read_text())
    assert job["pictures"][0]["path"].startswith("pictures/")
    assert str(request_.images) not in json.dumps(job)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("nano", (None, "nano", None)),
        ("ubuntu@nano.local:2222", ("ubuntu", "nano.local", 2222)),
        ("pi@[fe80::1]:22", ("pi", "fe80::1", 22)),
    ],
)
def test_addresses(text: str, parts: tuple[str | None, str, int | None]) -> None:
    assert dataclasses.astuple(parse_address(text)) == parts


@pytest.mark.parametrize("text", ["", "-oProxyCommand=x", "a b", "u@-host", "host:0", "host:99999", "h;ls", "u@h:22:1"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        HostSpec(text)


@pytest.mark.parametrize("folder", ["", "/", ".", "../x", "a/../../b"])
def test_what_is_no_folder_is_refused(folder: str) -> None:
    with pytest.raises(InvalidInput, match="no folder"):
        HostSpec("nano", folder=folder)


def test_every_word_reaches_the_other_side_as_it_is() -> None:
    if shutil.which("ssh") is None:
        pytest.skip("no ssh here")
    words = ["python3", "-c", "print('$HOME; `id`')", "a b", "*"]
    arguments = SshHost(HostSpec("u@h:22")).arguments(words)
    assert shlex.split(arguments[-1]) == words
    assert arguments[-3:-1] == ["--", "h"]
    joined = " ".join(arguments)
    assert "BatchMode=yes" in joined
    assert "StrictHostKeyChecking=yes" in joined


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("Host key verification failed.", HostKeyRefused),
        ("u@h: Permission denied (publickey).", HostLoginRefused),
        ("ssh: Could not resolve hostname x: Name or service not known", HostUnreachable),
        ("client_loop: send disconnect: Broken pipe", ConnectionLost),
        ("", ConnectionLost),
    ],
)
def test_what_ssh_says_is_understood(words: str, kind: type[Exception]) -> None:
    assert type(ssh_error("h", words)) is kind


def test_a_file_of_hosts(tmp_path: Path) -> None:
    path = tmp_path / "hosts.toml"
    path.write_text('schema_version = 1\n[hosts.nano]\nhost = "u@nano"\ndevice = "jetson"\n[hosts.pi]\nhost = "pi"\n')
    hosts = read_hosts(path)
    assert (hosts["nano"].device, hosts["pi"].python) == ("jetson", "python3")
    for text in ("", "x = [", "schema_version = 1\n[hosts]\n", 'schema_version = 1\n[hosts.a]\nhos = "x"\n'):
        path.write_text(text)
        with pytest.raises(InvalidInput):
            read_hosts(path)


def test_several_machines_by_the_command(
    command_line: Any, sshd: Any, sharpness_bundle: Path, bench_pictures: Path, tmp_path: Path
) -> None:
    hosts = tmp_path / "hosts.toml"
    hosts.write_text(
        "schema_version = 1\n"
        f'[hosts.here]\nhost = "{sshd.host}"\ndevice = "onnxruntime"\npython = "{sys.executable}"\n'
        f'folder = "{sshd.home}/work"\nssh_config = "{sshd.ssh_config}"\n'
        '[hosts.dead]\nhost = "nobody@127.0.0.1:9"\n'
    )
    words = [str(sharpness_bundle), "--images", str(bench_pictures), "--precision", "int8", "--mode", "rapid"]
    words += ["--hosts", str(hosts), "--json", str(tmp_path / "out.json"), "--html", str(tmp_path / "out.html")]
    done = command_line("bench", *words, "--no-waterfall", timeout=300)
    assert done.returncode == 4
    assert "dead: E321" in done.stderr
    assert "[here] running edge-iqa" in done.stderr
    result = read_result(tmp_path / "out.here.json")
    assert result.remote is not None
    assert result.remote.name == "here"
    assert result.rows[0].latency_ms.n >= 64
    assert "here" in done.stdout
    assert "onnxruntime" in done.stdout
    assert (tmp_path / "out.here.html").stat().st_size > 5000
    assert not (tmp_path / "out.dead.json").exists()
