"""Scripts of faults for the test pattern: what goes wrong at which frame, and for how long."""

from __future__ import annotations

import re
from dataclasses import dataclass

from edge_iqa.errors import InvalidInput

PICTURE_FAULTS = ("frozen", "black", "half", "broken", "resize", "slow")
CLOCK_FAULTS = ("back", "forth")
CONNECTION_FAULTS = ("gone", "stall", "refused", "unauthorised", "notfound", "nodns", "codec")
FAULTS = (*PICTURE_FAULTS, *CLOCK_FAULTS, *CONNECTION_FAULTS)


@dataclass(frozen=True)
class Fault:
    """One fault. ``first`` and ``last`` are frames of the source, both included.

    A fault of the connection happens once, before frame ``first``, and the next ``last - first`` attempts to open the
    source again fail as well: ``gone`` and ``stall`` as refused, the others as what they are called.
    """

    kind: str
    first: int
    last: int


def parse_faults(text: str) -> tuple[Fault, ...]:
    """Read ``kind@first-last`` or ``kind@frame``, separated by ``/``; raises InvalidInput."""
    return tuple(_parse(part) for part in text.split("/") if part)


def _parse(part: str) -> Fault:
    match = re.fullmatch(r"([a-z]+)@(\d{1,9})(?:-(\d{1,9}))?", part)
    if match is None or match[1] not in FAULTS:
        raise InvalidInput(
            f"{part!r} is not a fault", fix=f"KIND@FIRST-LAST in frames, KIND one of {', '.join(FAULTS)}"
        )
    first, last = int(match[2]), int(match[3] or match[2])
    if last < first:
        raise InvalidInput(f"The fault {part!r} ends before it begins")
    return Fault(match[1], first, last)
