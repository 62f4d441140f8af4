"""Our int8 models against post-training quantization of the same float student: drift and speed in one table.

    python -m edge_iqa.benchmarks.ptq_baseline --pictures FOLDER [--bundle B.eiqa] [--json F]

Drift is the distance from the float student on ONNX Runtime over the pictures of a folder. The methods calibrate on
pictures of the same folder that are left out of the measuring, which is in their favour: ours never saw any of them.
Speed is the median time of one inference on an input in memory; the models take turns in random order, so that a busy
minute falls on all of them, and each is alone in the process: the waiting threads of one runtime would slow another.
Prints Markdown.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import edge_iqa
from edge_iqa.benchmarks.ptq_measure import Candidate, Tensor, make_candidate, measure, own_candidates
from edge_iqa.benchmarks.ptq_methods import METHODS
from edge_iqa.benchmarks.timing_in_turns import SAMPLES_PER_TURN
from edge_iqa.bundle import Bundle, default_bundle_path, read_bundle
from edge_iqa.decode import read_image
from edge_iqa.errors import EdgeIqaError, ImageError, InvalidInput
from edge_iqa.preprocess import preprocess
from edge_iqa.progress import track

SCHEMA_VERSION = 1
CALIBRATION_PICTURES = 64


def read_inputs(
    folder: Path, bundle: Bundle, limit: int, calibration: int, seed: int
) -> tuple[list[Tensor], list[Tensor]]:
    """Return inputs to calibrate on and, from other pictures, at most ``limit`` to measure on.

    Raises InvalidInput where the folder has too few usable pictures for both.
    """
    from edge_iqa.cli.score_command import PICTURE_SUFFIXES

    files = sorted(entry for entry in folder.rglob("*") if entry.suffix.lower() in PICTURE_SUFFIXES)
    drawn = np.random.default_rng(seed).permutation(len(files))[: calibration + limit]
    tensors = []
    for index in track(drawn, "reading"):
        try:
            tensors.append(preprocess(read_image(files[index]), bundle.manifest.preprocess))
        except ImageError as error:
            print(f"left out: {error.what}", file=sys.stderr)
    if len(tensors) < calibration + 2:
        raise InvalidInput(
            f"{folder} has {len(tensors)} usable pictures",
            why=f"{calibration} are for calibrating, and those to measure on must be others",
            fix="name a larger folder with --pictures, or give --calibration a smaller number",
        )
    return tensors[:calibration], tensors[calibration:]


def as_markdown(candidates: Sequence[Candidate]) -> str:
    """Return a table with a line per model; a model that could not be made or loaded has its reason below."""
    lines = ["| model | runtime | SROCC | mean | max | flips | levels | p50 ms | kB |", "| --- " * 9 + "|"]
    reasons = []
    for row in candidates:
        name = f"{row.name}, {row.precision}" if row.name == "float student" else row.name
        if row.drift is None:
            lines.append(f"| {name} | {row.runtime} | " + " | ".join("-" * 7) + " |")
            reasons.append(f"- {name}: {row.error.as_dict()['message'] if row.error else 'not measured'}")
            continue
        drift = row.drift
        agreement = "-" if drift.srcc is None else f"{drift.srcc:.5f}"
        measured = [agreement, f"{drift.mae:.4f}", f"{drift.max_abs:.4f}", str(drift.flips), str(drift.distinct_levels)]
        size_kb = sum(len(content) for content in row.files.values()) / 1000
        measured += ["-" if row.p50_ms is None else f"{row.p50_ms:.2f}", f"{size_kb:.0f}"]
        lines.append(f"| {name} | {row.runtime} | " + " | ".join(measured) + " |")
    return "\n".join([*lines, *(["", *reasons] if reasons else [])])


def run(
    bundle: Bundle, folder: Path, limit: int, calibration: int, threads: int, rounds: int, seed: int
) -> dict[str, Any]:
    """Make and measure every model; returns the document, and prints the table."""
    calibrating, measured = read_inputs(folder, bundle, limit, calibration, seed)
    candidates = own_candidates(bundle)
    candidates += [make_candidate(method, bundle, calibrating) for method in track(METHODS, "quantizing")]
    measure(candidates, measured, threads, rounds, seed)
    title = f"{bundle.manifest.name}, {len(measured)} pictures, {calibration} others to calibrate on, {threads} threads"
    print(f"{title}; drift from the float student on {candidates[0].runtime}:\n\n{as_markdown(candidates)}")
    return {
        "schema_version": SCHEMA_VERSION,
        "tool": {"name": "edge-iqa", "version": edge_iqa.__version__},
        "bundle": {"name": bundle.manifest.name, "sha256": bundle.sha256},
        "pictures": {"folder": folder.name, "n": len(measured), "calibration": calibration, "seed": seed},
        "threads": threads,
        "rounds": rounds,
        "rows": [candidate.document() for candidate in candidates],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare our int8 models with post-training quantization.")
    parser.add_argument("--bundle", type=Path, default=default_bundle_path())
    parser.add_argument("--pictures", type=Path, required=True)
    parser.add_argument("--limit", type=int, default=600, help="pictures to measure drift on")
    parser.add_argument("--calibration", type=int, default=CALIBRATION_PICTURES)
    parser.add_argument("--threads", type=int, default=2)
    rounds_help = f"turns of {SAMPLES_PER_TURN} timed inferences per model"
    parser.add_argument("--rounds", type=int, default=20, help=rounds_help)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    try:
        document = run(
            read_bundle(options.bundle),
            options.pictures,
            options.limit,
            options.calibration,
            options.threads,
            options.rounds,
            options.seed,
        )
    except EdgeIqaError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
    if options.json is not None:
        options.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
