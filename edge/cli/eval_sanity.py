"""``edge-iqa eval --sanity``: run the sanity set with every scorer, and say which lines pass."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from edge_iqa.benchmarks.sanity import SanityLine, run_sanity
from edge_iqa.cli.eval_report import SCHEMA_VERSION, aligned, tool_document
from edge_iqa.cli.eval_scorers import EvalScorer
from edge_iqa.errors import BarMissed

Checked = tuple[EvalScorer, list[SanityLine]]


def check_all(scorers: Sequence[EvalScorer]) -> list[Checked]:
    """Run the sanity set with every scorer on the same pictures."""
    return list(zip(scorers, run_sanity([scorer.measure for scorer in scorers]), strict=True))


def sanity_document(checked: Sequence[Checked]) -> dict[str, Any]:
    """Return the document of ``eval --sanity --json``: the first scorer at the top, others in ``baselines``."""
    first, *others = (_document(scorer, lines) for scorer, lines in checked)
    head = {"schema_version": SCHEMA_VERSION, "kind": "sanity", "tool": tool_document()}
    return {**head, **first, "baselines": others}


def sanity_table(checked: Sequence[Checked]) -> str:
    """Return a line per demand: pass or FAIL of each scorer, and the numbers of the first."""
    names = [scorer.name for scorer, _ in checked]
    rows = [["", *names, ""]]
    for position, line in enumerate(checked[0][1]):
        verdicts = ["pass" if lines[position].passed else "FAIL" for _, lines in checked]
        rows.append([line.name, *verdicts, line.detail])
    total = len(checked[0][1])
    rows.append(["passed", *(f"{_passed(lines)} of {total}" for _, lines in checked), ""])
    return "\n".join(aligned(rows, text_columns=len(rows[0])))


def raise_failures(checked: Sequence[Checked]) -> None:
    """Raise BarMissed where the first scorer fails a line; baselines may fail."""
    scorer, lines = checked[0]
    failed = [line.name for line in lines if not line.passed]
    if failed:
        raise BarMissed(f"{scorer.name} fails {len(failed)} of {len(lines)} lines", why="; ".join(failed))


def _document(scorer: EvalScorer, lines: Sequence[SanityLine]) -> dict[str, Any]:
    return {
        "scorer": scorer.description,
        "n": len(lines),
        "passed": _passed(lines),
        "lines": [{"name": line.name, "passed": line.passed, "detail": line.detail} for line in lines],
    }


def _passed(lines: Sequence[SanityLine]) -> int:
    return sum(line.passed for line in lines)
