"""What tests of several files need."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_iqa.cli import main

from .command_line import Done, Run


@pytest.fixture
def nothing_on_stderr(capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    """Fail where the test, a library in C included, leaves a word on the standard error."""
    yield
    assert capfd.readouterr().err == ""


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Return a function that runs the command line in this process; one that just returns counts as exit code 0."""

    def command(*arguments: str | Path) -> Done:
        monkeypatch.setattr(sys, "argv", ["edge-iqa", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return Done(int(end.value.code or 0), out, err)

    return command
