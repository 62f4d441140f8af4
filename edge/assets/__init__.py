"""The embedded default bundle and the demonstration photographs."""

from __future__ import annotations

from pathlib import Path


def photographs_folder() -> Path:
    """Return the folder of the embedded photographs; where they come from is in its README."""
    return Path(__file__).parent / "photographs"
