"""edge-iqa: is this frame good enough to use? Scores pictures on the device, in milliseconds.

>>> import edge_iqa
>>> scorer = edge_iqa.load()                    # the embedded int8 student, fastest runtime present
>>> scorer("frame.jpg").value                   # a float in [0, 1], higher is better  # doctest: +SKIP

Importing this package imports neither a runtime nor numpy; ``load`` does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["Score", "Scorer", "__version__", "load"]

if TYPE_CHECKING:
    from edge_iqa.scorer import Score, Scorer, load


def __getattr__(name: str) -> Any:
    if name in {"Score", "Scorer", "load"}:
        from edge_iqa import scorer

        return getattr(scorer, name)
    raise AttributeError(f"module 'edge_iqa' has no attribute {name!r}")
