"""Ask for an optional package by name and say which extra brings it."""

from __future__ import annotations

import importlib.util

from edge_iqa.errors import MissingDependency


def need(package: str, extra: str) -> None:
    """Raise MissingDependency, naming the extra of edge-iqa that brings it, where ``package`` is not installed."""
    if importlib.util.find_spec(package) is None:
        raise MissingDependency(
            f"The package {package} is not installed",
            why="this command needs it",
            fix=f"pip install 'edge-iqa[{extra}]'",
        )
