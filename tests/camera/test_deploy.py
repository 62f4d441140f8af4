"""The systemd unit and the Dockerfiles: the command lines work, and what they promise is in them."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
UNIT = DEPLOY / "edge-iqa-watch@.service"
DOCKERFILES = sorted(DEPLOY.glob("Dockerfile.*[!e]"))


def settings(section: str) -> dict[str, list[str]]:
    """Return the settings of a section of the unit; a key may come several times, so no INI parser fits."""
    found: dict[str, list[str]] = {}
    current = ""
    for line in UNIT.read_text().splitlines():
        if line.startswith("["):
            current = line.strip("[]")
        elif current == section and "=" in line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


def example_environment() -> dict[str, str]:
    lines = (DEPLOY / "camera.env.example").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def arguments_of(line: str, environment: dict[str, str]) -> list[str]:
    """Expand an ExecStart line as systemd does: ``${X}`` within a word, a bare ``$X`` into several words."""
    words: list[str] = []
    for word in shlex.split(line):
        if re.fullmatch(r"\$\w+", word):
            words += environment.get(word[1:], "").split()
        else:
            words.append(re.sub(r"\$\{(\w+)\}", lambda name: environment[name[1]], word))
    return words


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    program = tmp_path / "edge-iqa"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace("/opt/edge-iqa/bin/edge-iqa", str(program)))
    result = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(unit)], capture_output=True, text=True, timeout=120, check=False
    )
    complaints = [line for line in result.stderr.splitlines() if "edge-iqa" in line]
    assert complaints == []
    assert result.returncode == 0, result.stderr


def test_unit_restarts_within_limits_and_gives_few_rights() -> None:
    unit, service = settings("Unit"), settings("Service")
    assert service["Type"] == ["notify"]
    assert service["Restart"] == ["always"]
    between_watchdog_restarts = int(service["WatchdogSec"][0]) + int(service["RestartSec"][0])
    interval, burst = int(unit["StartLimitIntervalSec"][0]), int(unit["StartLimitBurst"][0])
    assert between_watchdog_restarts * burst > interval  # a camera that is away for days is no reason to give up
    assert int(service["RestartSec"][0]) * burst < interval  # a program that cannot start is
    for key in ("NoNewPrivileges", "ProtectHome", "PrivateTmp", "RestrictSUIDSGID", "DynamicUser"):
        assert service[key] == ["yes"], key
    assert service["ProtectSystem"] == ["strict"]
    assert service["CapabilityBoundingSet"] == [""]


def messages_until(last: str, manager: socket.socket, process: subprocess.Popen[str]) -> list[str]:
    """Return what the process tells systemd up to ``last``; fails where it ends or five minutes pass before that."""
    messages: list[str] = []
    deadline = time.monotonic() + 300
    while last not in messages:
        try:
            messages.append(manager.recv(4096).decode())
        except TimeoutError:
            assert process.poll() is None, process.communicate()[1]
            assert time.monotonic() < deadline, messages
    return messages


def test_units_command_runs_tells_systemd_and_ends_on_sigterm(tmp_path: Path, sharpness_bundle: Path) -> None:
    """The command of the unit with the example's options, on a test pattern, under a socket as systemd's."""
    environment = example_environment() | {
        "EDGE_IQA_SOURCE": "test:64x48@30",
        "EDGE_IQA_POLICY": "surveillance",
        "STATE_DIRECTORY": str(tmp_path),
    }
    environment["EDGE_IQA_OPTIONS"] = environment["EDGE_IQA_OPTIONS"].replace(":9464", ":0")
    words = arguments_of(settings("Service")["ExecStart"][0], environment)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(1)
        command = [
            sys.executable,
            "-m",
            "edge_iqa",
            *words[1:],
            "--bundle",
            str(sharpness_bundle),
            "--backend",
            "onnxruntime",
        ]
        told_by_systemd = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "60000000"}
        with subprocess.Popen(
            command, env=os.environ | environment | told_by_systemd, stderr=subprocess.PIPE, text=True
        ) as process:
            try:
                messages = messages_until("WATCHDOG=1", manager, process)
                process.send_signal(signal.SIGTERM)
                messages += messages_until("STOPPING=1", manager, process)
                _, told = process.communicate(timeout=300)
            finally:
                process.kill()
    assert process.returncode == 0, told
    assert messages.index("READY=1") < messages.index("WATCHDOG=1")
    lines = (tmp_path / "scores.jsonl").read_text().splitlines()
    assert [json.loads(line)["frame"] for line in lines] == sorted(json.loads(line)["frame"] for line in lines)
    assert len(lines) >= 1


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.name)
def test_dockerfile_copies_what_exists_and_runs_without_rights(dockerfile: Path) -> None:
    text = dockerfile.read_text()
    instructions = re.sub(r"\\\n", "", "\n".join(line for line in text.splitlines() if not line.startswith("#")))
    copied = [line.split()[1:-1] for line in instructions.splitlines() if re.match(r"COPY (?!--from)", line)]
    for source in (name for names in copied for name in names):
        assert (ROOT / source).exists(), source
    packages = {"edge", "models", "quantize", "benchmarks"}
    assert packages <= {name for names in copied for name in names}
    assert re.search(r"^USER edge-iqa$", instructions, re.MULTILINE)
    assert "STOPSIGNAL SIGTERM" in instructions
    for image in re.findall(r"^FROM (\S+)", instructions, re.MULTILINE):
        assert re.search(r":(?!latest)\S+$", image), image


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.name)
def test_command_of_a_container_is_one_the_tool_takes(dockerfile: Path) -> None:
    found = dict(re.findall(r"^(ENTRYPOINT|CMD) (\[.*\])$", dockerfile.read_text(), re.MULTILINE))
    words = [*json.loads(found["ENTRYPOINT"]), *json.loads(found["CMD"])]
    assert words[:2] == ["edge-iqa", "watch"]
    known = subprocess.run(
        [sys.executable, "-m", "edge_iqa", "watch", "--help"],
        capture_output=True, text=True, timeout=120, check=True, env=os.environ | {"COLUMNS": "200"},
    ).stdout  # fmt: skip
    options = [word for word in words if word.startswith("--")]
    assert options
    assert all(re.search(rf"{option}\b", known) for option in options)
