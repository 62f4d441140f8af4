"""Files that a command writes: refused before the work starts, not after, where they cannot be written."""

from __future__ import annotations

from pathlib import Path
from typing import TextIO

from edge_iqa.errors import InvalidInput


def check_output(path: Path) -> None:
    """Raise InvalidInput where ``path`` cannot become a file: it is a folder, or its folder is missing."""
    if not path.parent.is_dir():
        raise InvalidInput(f"{path} cannot be written", why=f"there is no folder {path.parent}")
    if path.is_dir():
        raise InvalidInput(f"{path} cannot be written", why="it is a folder")


def open_output(path: Path) -> TextIO:
    """Open ``path`` for writing text in UTF-8, an older file replaced; raises InvalidInput.

    File names whose bytes are not UTF-8 keep their bytes.
    """
    check_output(path)
    try:
        return path.open("w", encoding="utf-8", errors="surrogateescape", newline="")
    except OSError as error:
        raise InvalidInput(f"{path} cannot be written", why=error.strerror or str(error)) from error
