"""The CSV log of a training run, one line per note; a resumed run goes on with it."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

COLUMNS = ("step", "loss", "terms", "learning_rate", "pictures_per_s", "held_out_accuracy")


class TrainingLog:
    """Append to ``path``; lines after ``last_step``, of a run that was stopped later than its checkpoint, are dropped.

    With ``quiet`` (the processes that are not the first) nothing is written.
    """

    def __init__(self, path: Path, last_step: int, *, quiet: bool = False) -> None:
        self._path = path
        self._quiet = quiet
        if quiet:
            return
        kept: list[dict[str, str]] = []
        if last_step > 0 and path.exists():
            with path.open(newline="", encoding="utf-8") as file:
                kept = [row for row in csv.DictReader(file) if int(row["step"]) <= last_step]
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(kept)

    def steps(self, step: int, terms: Mapping[str, float], learning_rate: float, pictures_per_s: float) -> None:
        """Note the loss after a step and, where the method has several terms, each of them."""
        others = " ".join(f"{name}={value:.6g}" for name, value in terms.items() if name != "loss")
        self._append(
            {
                "step": step,
                "loss": f"{terms['loss']:.6g}",
                "terms": others,
                "learning_rate": f"{learning_rate:.4g}",
                "pictures_per_s": f"{pictures_per_s:.1f}",
            }
        )

    def look(self, step: int, accuracy: float) -> None:
        """Note the share of held-out pairs ranked right."""
        self._append({"step": step, "held_out_accuracy": f"{accuracy:.4f}"})

    def _append(self, row: Mapping[str, object]) -> None:
        if self._quiet:
            return
        with self._path.open("a", newline="", encoding="utf-8") as file:
            csv.DictWriter(file, COLUMNS).writerow(row)
