"""Text files of the kernel and the distribution, read line by line; a file that is not there has no lines."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


def read_lines(path: Path) -> list[str]:
    """Return the lines of ``path``, none where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except (OSError, ValueError):
        return []


def first_value(lines: Sequence[str], keys: tuple[str, ...]) -> str | None:
    """Return the first value of ``key: value`` lines that is not empty, the keys tried in order."""
    for key in keys:
        for line in lines:
            name, _, value = line.partition(":")
            if name.strip() == key and value.strip():
                return value.strip()
    return None
