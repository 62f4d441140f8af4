"""``edge-iqa watch`` as a user runs it: a process, its outputs, its signals, its exit codes."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import pytest

WATCH = [sys.executable, "-m", "edge_iqa", "watch"]
FILE = "test:64x48@30,frames=40,live=0"


@pytest.fixture
def watch(sharpness_bundle: Path, tmp_path: Path):  # type: ignore[no-untyped-def]
    """Return a function that runs watch to its end, in a folder of its own, with a model that measures sharpness."""

    def run(*arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[str]:
        model = ["--bundle", str(sharpness_bundle), "--backend", "onnxruntime", "--threads", "1"]
        done = subprocess.run(
            [*WATCH, *arguments, *model], cwd=tmp_path, input=stdin, capture_output=True, timeout=300, check=False
        )
        assert b"Traceback" not in done.stderr, done.stderr
        return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())

    return run


def rows(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_without_other_outputs_lines_go_to_stdout_and_counts_to_stderr(watch: Any) -> None:
    done = watch(FILE, "--policy", "slam", "--threshold", "0.3")
    assert done.returncode == 0, done.stderr
    found = rows(done.stdout)
    assert [row["frame"] for row in found] == list(range(40))
    assert all({"frame", "time_s", "score", "decision", "reason", "age_ms"} <= set(row) for row in found)
    kept = sum(row["decision"] == "keep" for row in found)
    assert 0 < kept < 40
    assert f"40 frames in = {kept} kept + {40 - kept} dropped (policy slam)" in done.stderr


def test_kept_frames_scores_and_a_hook(watch: Any, tmp_path: Path) -> None:
    done = watch(
        FILE, "--policy", "slam", "--keep-dir", "kept", "--scores", "s.jsonl", "--rejects-dir", "no",
        "--on-keep", f"{sys.executable} -c \"import sys;open('seen','a').write(sys.argv[1]+chr(10))\" {{path}}",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    found = rows((tmp_path / "s.jsonl").read_text())
    kept = [row["frame"] for row in found if row["decision"] == "keep"]
    files = sorted((tmp_path / "kept").glob("*.jpg"))
    assert [int(path.stem.rsplit("_", 1)[1]) for path in files] == kept
    assert cv2.imread(str(files[0])).shape == (48, 64, 3)
    assert (tmp_path / "seen").read_text().splitlines() == [f"kept/{path.name}" for path in files]
    assert 1 <= len(list((tmp_path / "no").glob("*.jpg"))) <= 2


def test_a_record_is_decided_again_tuned_and_drawn(watch: Any, tmp_path: Path) -> None:
    watch(FILE, "--policy", "slam", "--threshold", "0.3", "--scores", "s.jsonl")
    again = subprocess.run(
        [*WATCH, "--replay", "s.jsonl", "--policy", "slam", "--threshold", "0.3"],
        cwd=tmp_path, capture_output=True, text=True, timeout=300, check=True,
    )  # fmt: skip
    assert rows(again.stdout) == rows((tmp_path / "s.jsonl").read_text())
    assert ", 0 decided otherwise than recorded" in again.stderr
    tuned = subprocess.run(
        [*WATCH, "--replay", "s.jsonl", "--policy", "slam", "--tune", "keep=50%", "--plot", "plot.svg"],
        cwd=tmp_path, capture_output=True, text=True, timeout=300, check=True,
    )  # fmt: skip
    (tmp_path / "tuned.toml").write_text(tuned.stdout)
    assert (tmp_path / "plot.svg").read_text().startswith("<svg")
    done = watch(FILE, "--policy", "tuned.toml")
    assert sum(row["decision"] == "keep" for row in rows(done.stdout)) == pytest.approx(20, abs=3)


def test_broken_frames_of_a_file_are_told_by_the_exit_code(watch: Any) -> None:
    done = watch(f"{FILE},faults=broken@3-5", "--policy", "slam")
    assert done.returncode == 3
    assert "  3 broken" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        ([], 2, "No SOURCE"),
        (["none.mp4"], 4, "E251"),
        (["test:64x48", "--policy", "none"], 2, "E260"),
        (["test:64x48", "--tune", "keep=3%"], 2, "--replay"),
        (["test:64x48", "--max-cpu", "half"], 2, "share of the processor"),
        (["test:64x48", "--size", "big"], 2, "not a size"),
        (["test:64x48", "--on-keep", "no-such-program-anywhere"], 2, "hook"),
        (["test:64x48", "--keep-dir", "a", "--rejects-dir", "a"], 2, "two folders"),
        (["x", "--replay", "s.jsonl"], 2, "needs no SOURCE"),
    ],
)
def test_wrong_use_is_told_without_a_traceback(watch: Any, arguments: list[str], code: int, text: str) -> None:
    done = watch(*arguments)
    assert done.returncode == code, done.stderr
    assert text in done.stderr


def test_frames_on_stdin(watch: Any) -> None:
    picture = bytes(range(256)) * 36
    data = b"".join(b"P6\n64 48\n255\n" + picture for _ in range(3))
    done = watch("-", "--policy", "slam", stdin=data)
    assert done.returncode == 0, done.stderr
    assert len(rows(done.stdout)) == 3
    done = watch("-", "--raw", "gray8", "--size", "96x96", "--fps", "10", "--policy", "slam", stdin=picture * 2)
    assert [row["time_s"] for row in rows(done.stdout)] == [0, 0.1]


class Service:
    """watch as a process that goes on until it is told to end; its lines go to ``scores``."""

    def __init__(self, bundle: Path, folder: Path, *arguments: str, environment: dict[str, str] | None = None) -> None:
        model = ["--bundle", str(bundle), "--backend", "onnxruntime", "--threads", "1"]
        self.scores = folder / "s.jsonl"
        command = [*WATCH, *arguments, *model, "--scores", str(self.scores), "--keep-dir", str(folder / "kept")]
        variables = os.environ | (environment or {})
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=variables)

    def wait_for_lines(self, count: int) -> None:
        end = time.monotonic() + 300
        while not self.scores.exists() or self.scores.read_bytes().count(b"\n") < count:
            assert self.process.poll() is None, self.process.communicate()
            assert time.monotonic() < end
            time.sleep(0.02)

    def end(self, number: signal.Signals) -> tuple[int, str]:
        self.process.send_signal(number)
        _, said = self.process.communicate(timeout=120)
        return self.process.returncode, said


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_loop_with_everything_written(
    sharpness_bundle: Path, tmp_path: Path, number: signal.Signals
) -> None:
    service = Service(sharpness_bundle, tmp_path, "test:64x48@30", "--policy", "archive", "--threshold", "0")
    service.wait_for_lines(10)
    code, said = service.end(number)
    assert code == 0, said
    found = rows(service.scores.read_text())
    counts = re.search(r"(\d+) frames in = (\d+) kept \+ (\d+) dropped", said)
    assert counts is not None
    total, kept, dropped = map(int, counts.groups())
    assert total == kept + dropped
    assert sum(row["decision"] == "keep" for row in found) == kept == 1  # the best so far was held, and written
    assert len(list((tmp_path / "kept").glob("*.jpg"))) == 1


def test_a_killed_run_leaves_whole_lines_and_pictures_and_the_next_goes_on(
    sharpness_bundle: Path, tmp_path: Path
) -> None:
    arguments = ("test:64x48@60", "--policy", "slam", "--threshold", "0")
    first = Service(sharpness_bundle, tmp_path, *arguments)
    first.wait_for_lines(20)
    first.end(signal.SIGKILL)
    assert all("frame" in row for row in rows(first.scores.read_text()))
    pictures = sorted((tmp_path / "kept").glob("*.jpg"))
    assert all(cv2.imread(str(path)) is not None for path in pictures)
    second = Service(sharpness_bundle, tmp_path, *arguments)
    earlier = tmp_path / "s.jsonl.1"  # where the second run puts the first one's scores before it writes its own
    while not earlier.exists():
        assert second.process.poll() is None
        time.sleep(0.02)
    second.wait_for_lines(5)
    code, _ = second.end(signal.SIGTERM)
    assert code == 0
    later = sorted((tmp_path / "kept").glob("*.jpg"))
    assert set(pictures) < set(later)


def test_systemd_hears_ready_alive_and_stopping(sharpness_bundle: Path, tmp_path: Path) -> None:
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(path)
        systemd.settimeout(300)
        environment = {"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "400000"}
        service = Service(sharpness_bundle, tmp_path, "test:64x48@30", environment=environment)
        heard = [systemd.recv(4096).decode() for _ in range(4)]
        code, _ = service.end(signal.SIGTERM)
        systemd.settimeout(1)
        while heard[-1] != "STOPPING=1":
            heard.append(systemd.recv(4096).decode())
    assert code == 0
    assert heard[0] == "READY=1"
    assert heard.count("WATCHDOG=1") >= 2
