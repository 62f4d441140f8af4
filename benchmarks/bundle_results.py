"""The numbers of the model card: agreement with people and drift of a bundle, on CPU and in TensorRT's graph.

    python -m edge_iqa.benchmarks.bundle_results DATA [--bundle B.eiqa] [--teacher T.safetensors] > numbers.md

DATA holds folders with ``index.csv`` (file, mos, subset) or ``pairs.csv`` (better, worse, kind). Every number is of
all their pictures. TensorRT's graph is computed by ONNX Runtime node by node, and its rows say so. Prints Markdown.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

import numpy as np

from edge_iqa.backends.base import CPU_BACKENDS, PRECISIONS, Backend, backend_class
from edge_iqa.benchmarks.drift import compare_scores
from edge_iqa.benchmarks.opinion import Agreement, PairAccuracy, compare_opinions, compare_pairs, score_pictures
from edge_iqa.benchmarks.opinion_tables import pictures_of, read_opinions, read_pairs
from edge_iqa.benchmarks.plain_graph import SIGNED, TENSORRT_GRAPH, TENSORRT_NOTE, PlainGraph
from edge_iqa.bundle import default_bundle_path, read_bundle
from edge_iqa.cli.eval_scorers import EvalScorer, baseline_scorer, network_scorer
from edge_iqa.decode import read_image
from edge_iqa.preprocess import preprocess
from edge_iqa.progress import track

Scores = dict[str, float]
TENSORRT_ROW = f"{TENSORRT_GRAPH} ({TENSORRT_NOTE})"


def bundle_scores(bundle_path: Path, root: Path, files: list[str]) -> dict[str, Scores]:
    """Score each file on each runtime and in each precision, one after another: threads that wait slow others.

    The last target is TensorRT's graph.
    """
    bundle = read_bundle(bundle_path)
    targets: dict[str, Callable[[], Backend | PlainGraph]] = {
        f"{name} {precision}": partial(backend_class(name), bundle.take(backend_class(name).artefacts[precision], name))
        for precision in reversed(PRECISIONS)
        for name in CPU_BACKENDS
        if backend_class(name).unavailable() is None
    }
    targets[TENSORRT_ROW] = partial(PlainGraph, bundle.take((SIGNED,), TENSORRT_GRAPH), SIGNED)
    scores: dict[str, Scores] = {}
    for target, load in targets.items():
        with closing(load()) as backend:
            scores[target] = {
                file: backend.infer(preprocess(read_image(root / file), bundle.manifest.preprocess))
                for file in track(files, f"{root.name}, {target}")
            }
    return scores


def other_scores(scorers: dict[str, EvalScorer], root: Path, files: list[str]) -> dict[str, Scores]:
    """Score each file with the teacher and the baselines."""
    return {name: score_pictures(track(files, name), root, scorer.score).scores for name, scorer in scorers.items()}


def print_table(headings: list[str], rows: list[list[str]]) -> None:
    """Print a Markdown table."""
    for row in (headings, ["---"] * len(headings), *rows):
        print("| " + " | ".join(row) + " |")
    print()


def drift_rows(scores: dict[str, Scores], reference: str) -> list[list[str]]:
    """Return a row per target but the reference: SROCC, mean and largest difference, flips, levels."""
    files = list(scores[reference])
    expected = np.array([scores[reference][file] for file in files])
    threshold = float(np.median(expected))
    rows = []
    for target, found in scores.items():
        drift = compare_scores(reference, expected, [found[file] for file in files], threshold)
        measured = [f"{drift.srcc:.5f}", f"{drift.mae:.4f}", f"{drift.max_abs:.4f}"]
        rows.append([target, *measured, f"{drift.flips} of {drift.n}", str(drift.distinct_levels)])
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description="Print the numbers of the model card as Markdown.")
    parser.add_argument("data", type=Path)
    parser.add_argument("--bundle", type=Path, default=default_bundle_path())
    parser.add_argument("--teacher", type=Path)
    options = parser.parse_args()
    others = {f"baseline {name}": baseline_scorer(name) for name in ("laplacian", "tenengrad", "niqe")}
    if options.teacher is not None:
        others = {"teacher, PyTorch": network_scorer(options.teacher), **others}
    for index in sorted(options.data.glob("*/index.csv")):
        if "mos" not in index.read_text(encoding="utf-8").splitlines()[0].split(","):
            continue  # a list of photographs without scores
        opinions = read_opinions(index)
        files = pictures_of(opinions)
        scores = bundle_scores(options.bundle, index.parent, files)
        subsets = sorted({row.subset for row in opinions if row.subset is not None})
        rows = []
        for name, found in (scores | other_scores(others, index.parent, files)).items():
            comparison = compare_opinions(opinions, found)
            assert isinstance(comparison.total, Agreement)
            low, high = comparison.total.srcc_interval_95
            parts = [f"{part.srcc:.3f}" for part in comparison.parts.values() if isinstance(part, Agreement)]
            rows.append([name, f"{comparison.total.srcc:.4f} ({low:.3f}–{high:.3f})", *parts])
        print(f"`{index.parent.name}`, {len(files)} pictures, SROCC with human scores (95 % interval):\n")
        print_table(["", "all", *subsets], rows)
        reference = next(iter(scores))
        print(f"The same pictures, drift from {reference}; flips at its median score:\n")
        print_table(["", "SROCC", "mean", "max", "flips", "levels"], drift_rows(scores, reference))
        runtimes = [found for name, found in scores.items() if name.endswith(" int8")]
        spread = np.ptp([[found[file] for file in files] for found in runtimes], axis=0)
        print(f"Largest difference between two runtimes in int8: {spread.max():.4f} (mean {spread.mean():.4f}).\n")
    for table in sorted(options.data.glob("*/pairs.csv")):
        pairs = read_pairs(table)
        files = pictures_of(pairs)
        scores = bundle_scores(options.bundle, table.parent, files) | other_scores(others, table.parent, files)
        rows = []
        kinds: list[str] = []
        for name, found in scores.items():
            comparison = compare_pairs(pairs, found)
            kinds = list(comparison.parts)
            counted = [comparison.total, *comparison.parts.values()]
            rows.append([name, *(f"{part.right}/{part.n}" for part in counted if isinstance(part, PairAccuracy))])
        print(f"`{table.parent.name}`, pairs ranked right:\n")
        print_table(["", "all", *kinds], rows)


if __name__ == "__main__":
    main()
