"""Progress of work in named stages: a bar with the time left on a terminal, one line per stage elsewhere."""

from __future__ import annotations

import sys
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn


class StageProgress:
    """Call ``report(stage, done, total, loss)`` from the work; use as a context manager."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._bars: Progress | None = None
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> StageProgress:
        if self._terminal:
            columns = (
                TextColumn("{task.description:<18}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[loss]}"),
            )
            self._bars = Progress(*columns, console=Console(stderr=True))
            self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bars is not None:
            self._bars.stop()

    def report(self, stage: str, done: int, total: int, loss: float | None) -> None:
        """Show that ``stage`` has done ``done`` of ``total``, and its loss where it has one."""
        if self._bars is None:
            if stage not in self._tasks:
                self._tasks[stage] = TaskID(len(self._tasks))
                print(f"{stage} …", file=sys.stderr, flush=True)
            return
        if stage not in self._tasks:
            self._tasks[stage] = self._bars.add_task(stage, total=total, loss="")
        self._bars.update(self._tasks[stage], completed=done, loss="" if loss is None else f"loss {loss:.4f}")
