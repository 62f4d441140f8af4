"""The pushed program's own start, ``__main__`` of the runner's archive: starts the job, tells of it, ends it.

    python3 runner.pyz start|follow|fetch|stop SESSION-FOLDER [LOG-BYTES]

The job is a process of its own session, so that it goes on where the line drops. It unpacks the package beside
the archive and runs ``edge_iqa.benchmarks.remote_job`` from there. Only the standard library is imported here.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

PACKAGE, LOG, PID, STATUS, RESULT = "package", "log.txt", "pid", "status.json", "result.json"
LOG_MARK, STATUS_MARK = b"L ", b"S "
_POLL_SECONDS = 0.5


def start(archive: Path, session: Path) -> dict[str, object]:
    """Start the job unless it runs or has ended already."""
    if (session / STATUS).exists():
        return {"state": "ended"}
    if is_alive(session):
        return {"state": "running"}
    shutil.rmtree(session / PACKAGE, ignore_errors=True)
    with zipfile.ZipFile(archive) as content:
        names = [name for name in content.namelist() if name.startswith(f"{PACKAGE}/")]
        content.extractall(session, names)
    environment = {
        **os.environ,
        "PYTHONPATH": str(session / PACKAGE),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
        "EDGE_IQA_PROGRESS": "lines",
    }
    with (session / LOG).open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "edge_iqa.benchmarks.remote_job", str(session)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=environment,
            cwd=session,
        )
    (session / PID).write_text(str(process.pid))
    return {"state": "started"}


def is_alive(session: Path) -> bool:
    """Return whether the job's process is still that of this session."""
    try:
        pid = int((session / PID).read_text())
        os.kill(pid, 0)
        command = Path(f"/proc/{pid}/cmdline")
        return not command.exists() or str(session).encode() in command.read_bytes()
    except (OSError, ValueError):
        return False


def follow(session: Path, position: int) -> None:
    """Print each whole line of the log from a byte on, as it comes, and in the end the status."""
    out = sys.stdout.buffer
    with (session / LOG).open("rb") as log:
        log.seek(position)
        while True:
            over = (session / STATUS).exists() or not is_alive(session)
            for line in iter(log.readline, b""):
                if not line.endswith(b"\n") and not over:
                    log.seek(-len(line), os.SEEK_CUR)
                    break
                out.write(LOG_MARK + line.rstrip(b"\n") + b"\n")
            out.flush()
            if over:
                break
            time.sleep(_POLL_SECONDS)
    status = session / STATUS
    found = status.read_bytes() if status.exists() else json.dumps({"died": True}).encode()
    out.write(STATUS_MARK + found.replace(b"\n", b" ") + b"\n")
    out.flush()


def stop(session: Path) -> None:
    """End the job and what it has started."""
    if is_alive(session):
        os.killpg(int((session / PID).read_text()), signal.SIGKILL)


def main() -> None:
    archive, verb, session = Path(sys.argv[0]).resolve(), sys.argv[1], Path(sys.argv[2]).resolve()
    if verb == "start":
        print(json.dumps(start(archive, session)))
    elif verb == "follow":
        follow(session, int(sys.argv[3]))
    elif verb == "fetch":
        sys.stdout.buffer.write((session / RESULT).read_bytes())
    elif verb == "stop":
        stop(session)


if __name__ == "__main__":
    main()
