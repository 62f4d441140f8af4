"""``edge-iqa compare``: two results of the bench side by side, with confidence, for people and for CI."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer


def command(
    a: Annotated[Path, typer.Argument(help="The older result, from 'edge-iqa bench --json'.")],
    b: Annotated[Path, typer.Argument(help="The newer result.")],
    fail_on: Annotated[str | None, typer.Option(help="regress: exit 1 where B is worse than A.")] = None,
    tolerance: Annotated[
        float, typer.Option(min=0.0, help="B is slower where its whole 95 % interval is above 1 + this.")
    ] = 0.05,
    allow_different: Annotated[
        bool, typer.Option("--allow-different", help="Compare different bundles or pictures; the output says so.")
    ] = False,
    json: Annotated[Path | None, typer.Option(help="Write the comparison as JSON.")] = None,
) -> None:
    from edge_iqa.benchmarks.compare import compare_results
    from edge_iqa.benchmarks.compare_report import comparison_text, print_comparison
    from edge_iqa.benchmarks.result_files import read_result
    from edge_iqa.cli.output import check_output, open_output
    from edge_iqa.errors import BarMissed, InvalidInput

    if fail_on not in (None, "regress"):
        raise InvalidInput(f"There is no --fail-on {fail_on!r}", fix="--fail-on regress, or leave it out")
    if json is not None:
        check_output(json)
    before, after = read_result(a), read_result(b)
    comparison = compare_results(before, after, allow_different, tolerance)
    if json is not None:
        with open_output(json) as stream:
            stream.write(comparison_text(comparison, before, after))
    print_comparison(comparison, sys.stdout)
    sys.stdout.flush()
    for line in comparison.differences:
        print(line, file=sys.stderr)
    for row in comparison.rows:
        for note in row.notes:
            print(f"{row.label}: {note}", file=sys.stderr)
    regressions = comparison.regressions
    for line in regressions:
        print(f"worse: {line}", file=sys.stderr)
    if regressions and fail_on == "regress":
        count = len(regressions)
        raise BarMissed(
            "B is worse than A" if count == 1 else f"B is worse than A in {count} ways",
            why="; ".join(regressions),
            fix="measure both again in turns on a quiet machine before you believe it",
        )
