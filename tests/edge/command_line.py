"""What a run of ``edge-iqa`` leaves behind; the fixture ``run`` makes one."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple


class Done(NamedTuple):
    """What a run of the command line left behind."""

    returncode: int
    stdout: str
    stderr: str


Run = Callable[..., Done]
