"""The user's command: arguments as given, no shell, the line on stdin, a time limit for it and its children."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import pytest
from decided import decision, frame

from edge_iqa.camera.command_hook import CommandHook
from edge_iqa.errors import SinkError

WRITE_DOWN = (
    "import json, sys; json.dump([sys.argv[2:], sys.stdin.read(), 'printed' if print('x') else ''], "
    "open(sys.argv[1], 'w'))"
)


def test_command_gets_its_arguments_and_the_line(tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    hook = CommandHook(
        [sys.executable, "-c", WRITE_DOWN, str(out), "n={frame}", "{score}", "{path}", "$(touch evil); {reason} *"],
        path_of=lambda number: tmp_path / f"a b {number}.jpg",
    )
    hook.handle(frame(5), decision(5))
    arguments, line, _ = json.loads(out.read_text())
    assert arguments == ["n=5", "0.75", str(tmp_path / "a b 5.jpg"), "$(touch evil); good *"]
    assert json.loads(line)["frame"] == 5
    assert not (tmp_path / "evil").exists()


def test_output_of_the_command_does_not_reach_ours(capfd: pytest.CaptureFixture[str]) -> None:
    CommandHook([sys.executable, "-c", "print('noise')"]).handle(frame(0), decision(0))
    assert capfd.readouterr().out == ""


def test_only_kept_frames() -> None:
    hook = CommandHook(["true"])
    assert [hook.wants(decision(0)), hook.wants(decision(1, keep=False))] == [True, False]


def test_status_other_than_0_is_an_error() -> None:
    with pytest.raises(SinkError, match="status 3"):
        CommandHook([sys.executable, "-c", "raise SystemExit(3)"]).handle(frame(0), decision(0))


def test_command_that_hangs_is_killed_with_its_children(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    program = (
        "import subprocess, sys, time; child = subprocess.Popen(['sleep', '60']); "
        f"open({str(pid_file)!r}, 'w').write(str(child.pid)); time.sleep(60)"
    )
    hook = CommandHook([sys.executable, "-c", program], timeout_s=1.5)
    with pytest.raises(SinkError, match="longer than"):
        hook.handle(frame(0), decision(0))
    child = int(pid_file.read_text())
    deadline = time.monotonic() + 5
    while _alive(child) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not _alive(child)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("no-such-program-here {frame}", "is not there"),
        ("", "is not there"),
        ("true {colour}", "unknown {colour}"),
        ("true {path}", "unknown {path}"),
        ("true 'open", "split into arguments"),
    ],
)
def test_hook_that_cannot_work_is_refused_at_the_start(text: str, match: str) -> None:
    with pytest.raises(SinkError, match=match):
        CommandHook.from_text(text)
