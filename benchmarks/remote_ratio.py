"""Does a benchmark over ssh give the rows of a local one? Both on this machine, in turns.

    python -m edge_iqa.benchmarks.remote_ratio user@localhost [--ssh-config F] [--rounds 3] [--mode quick]

The host must be the machine that this runs on, or the ratio means nothing. A ratio is the median over the rounds of
the remote row's median latency divided by the local one's; scores must be the same to the last digit. Prints Markdown;
the exit status is 1 where a row is missing or a score differs.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_iqa.benchmarks.result_files import read_result
from edge_iqa.benchmarks.results import BenchResult


@dataclass(frozen=True)
class RemoteRatio:
    """One row: the median latencies of every round in ms, and whether all rounds gave the same scores."""

    label: str
    local_ms: list[float]
    remote_ms: list[float]
    same_scores: bool

    @property
    def ratios(self) -> list[float]:
        """Remote divided by local, a number per round."""
        return [remote / local for local, remote in zip(self.local_ms, self.remote_ms, strict=True)]


def remote_ratios(local: Sequence[BenchResult], remote: Sequence[BenchResult]) -> list[RemoteRatio]:
    """Pair the rows of as many remote results as local ones; raises ValueError where a row is missing or unmeasured."""
    found = []
    labels = [[row.label for row in result.rows] for result in (*local, *remote)]
    if len(local) != len(remote) or any(other != labels[0] for other in labels):
        raise ValueError(f"the rows are not the same: {labels}")
    for index, label in enumerate(labels[0]):
        rows = [result.rows[index] for result in (*local, *remote)]
        medians = [row.latency_ms.p50 for row in rows if row.latency_ms is not None and row.latency_ms.p50 is not None]
        if len(medians) != len(rows):
            raise ValueError(f"{label} was not measured in every round")
        same = all(row.scores == rows[0].scores for row in rows)
        found.append(RemoteRatio(label, medians[: len(local)], medians[len(local) :], same))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare benchmarks over ssh with local ones, on one machine.")
    parser.add_argument("host")
    parser.add_argument("--ssh-config", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--mode", default="quick")
    options = parser.parse_args()
    over_ssh = ["--host", options.host, "--host-python", sys.executable]
    if options.ssh_config is not None:
        over_ssh += ["--ssh-config", str(options.ssh_config)]
    results: dict[str, list[BenchResult]] = {"local": [], "remote": []}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(options.rounds):
            order = ("local", "remote") if number % 2 == 0 else ("remote", "local")
            for place in order:
                path = Path(folder, f"{place}{number}.json")
                words = [sys.executable, "-m", "edge_iqa", "bench", "--device", options.device, "--mode", options.mode]
                done = subprocess.run(
                    [*words, "--json", str(path), *(over_ssh if place == "remote" else [])],
                    stdout=subprocess.DEVNULL,
                    check=False,
                )
                if done.returncode not in (0, 1):  # 1 is a verdict; else it has said what is wrong
                    sys.exit(done.returncode)
                results[place].append(read_result(path))
    found = remote_ratios(results["local"], results["remote"])
    print("| target | local, ms | over ssh, ms | ssh / local | lowest to highest | same scores |")
    print("| --- | --- | --- | --- | --- | --- |")
    for row in found:
        local, remote = statistics.median(row.local_ms), statistics.median(row.remote_ms)
        span = f"{min(row.ratios):.3f} to {max(row.ratios):.3f}"
        same = "yes" if row.same_scores else "NO"
        ratio = statistics.median(row.ratios)
        print(f"| {row.label} | {local:.2f} | {remote:.2f} | {ratio:.3f} | {span} | {same} |")
    sys.exit(0 if all(row.same_scores for row in found) else 1)


if __name__ == "__main__":
    main()
