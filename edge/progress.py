"""A progress bar on stderr for long work; silent where stderr is not a terminal.

With ``EDGE_IQA_PROGRESS=lines`` in the environment there are plain lines instead, a few seconds apart, for a log
that somebody reads from afar.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

ItemT = TypeVar("ItemT")
_LINE_SECONDS = 5.0


def track(items: Sequence[ItemT] | Iterable[ItemT], what: str, total: int | None = None) -> Iterator[ItemT]:
    """Yield ``items``, showing how many are done and the time left while stderr is a terminal."""
    if os.environ.get("EDGE_IQA_PROGRESS") == "lines":
        yield from _with_lines(items, what, total)
        return
    if not sys.stderr.isatty():
        yield from items
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        yield from progress.track(items, total=total, description=what)


def _with_lines(items: Sequence[ItemT] | Iterable[ItemT], what: str, total: int | None) -> Iterator[ItemT]:
    count = len(items) if isinstance(items, Sequence) else total
    said = time.monotonic()
    done = 0
    for done, item in enumerate(items, 1):
        yield item
        if time.monotonic() - said >= _LINE_SECONDS:
            said = time.monotonic()
            print(f"{what} {done}{'' if count is None else f'/{count}'}", file=sys.stderr, flush=True)
    print(f"{what} {done} done", file=sys.stderr, flush=True)
