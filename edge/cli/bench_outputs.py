"""The files that ``edge-iqa bench`` writes, and what it says on the terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edge_iqa.benchmarks.run import BenchOutcome


@dataclass(frozen=True)
class BenchOutputs:
    """Where to write; None: not at all. ``flips`` is a folder, the others are files."""

    json: Path | None = None
    csv: Path | None = None
    html: Path | None = None
    markdown: Path | None = None
    flips: Path | None = None

    def check(self) -> None:
        """Raise InvalidInput, before anything is measured, where one cannot be written."""
        from edge_iqa.cli.output import check_output
        from edge_iqa.errors import InvalidInput

        for path in (self.json, self.csv, self.html, self.markdown):
            if path is not None:
                check_output(path)
        if self.flips is not None and (not self.flips.parent.is_dir() or self.flips.is_file()):
            raise InvalidInput(f"{self.flips} cannot become a folder", why="its own folder is missing, or it is a file")

    def named(self, name: str) -> BenchOutputs:
        """Return the outputs for one machine of several: its name before each file's ending."""

        def own(path: Path | None) -> Path | None:
            return None if path is None else path.with_name(f"{path.stem}.{name}{path.suffix}")

        return BenchOutputs(own(self.json), own(self.csv), own(self.html), own(self.markdown), own(self.flips))

    def write(self, outcome: BenchOutcome) -> None:
        """Write every file that was asked for."""
        from edge_iqa.benchmarks.flips import save_flips, thumbnails
        from edge_iqa.benchmarks.report_files import csv_text, json_text
        from edge_iqa.benchmarks.report_html import html_text
        from edge_iqa.benchmarks.report_markdown import markdown_text
        from edge_iqa.cli.output import open_output

        result = outcome.result
        texts: dict[Path | None, Callable[[], str]] = {
            self.json: lambda: json_text(result),
            self.csv: lambda: csv_text(result),
            self.html: lambda: html_text(result, thumbnails(result, outcome.pictures)),
            self.markdown: lambda: markdown_text(result),
        }
        for path, text in texts.items():
            if path is not None:
                with open_output(path) as stream:
                    stream.write(text())
        if self.flips is not None:
            count = save_flips(result, outcome.pictures, self.flips)
            print(f"{count} flips in {self.flips}", file=sys.stderr)


def show(outcome: BenchOutcome) -> None:
    """Print the table to stdout, advice and the waterfall to stderr."""
    from edge_iqa.benchmarks.report_table import advice_lines, print_table
    from edge_iqa.benchmarks.report_waterfall import waterfall_lines

    print_table(outcome.result, sys.stdout)
    sys.stdout.flush()
    for line in [*advice_lines(outcome.result), *waterfall_lines(outcome.result.waterfall)]:
        print(line, file=sys.stderr)
