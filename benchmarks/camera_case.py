"""Does the filter help: drop decisions on damaged videos against variance of the Laplacian, and feature matches.

    python -m edge_iqa.benchmarks.camera_case --photographs FOLDER --json case.json --plot case.svg

Every method gives each frame a number; a threshold on it keeps the same share of frames for all methods. Damaged
frames should be dropped: precision is the share of dropped frames that are damaged, recall the share of damaged frames
that are dropped. One threshold serves all videos, as it must in the field.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_iqa.benchmarks.baselines import laplacian_variance
from edge_iqa.benchmarks.camera_case_matches import Features, MatchFigures, find_features, match_figures
from edge_iqa.benchmarks.camera_case_plot import recall_plot
from edge_iqa.benchmarks.camera_case_video import DAMAGES, VideoSpec, make_video
from edge_iqa.benchmarks.pictures import embedded_photographs
from edge_iqa.decode import read_image
from edge_iqa.errors import EdgeIqaError, InvalidInput
from edge_iqa.progress import track
from edge_iqa.scorer import load

SCHEMA_VERSION = 1
IQA, LAPLACIAN, RANDOM, ALL = "edge-iqa", "Laplacian", "at random", "all frames"


@dataclass(frozen=True)
class Videos:
    """What was measured on all frames: per method (N,) numbers, damage per frame, video per frame, features."""

    numbers: dict[str, NDArray[np.float64]]
    damages: list[str | None]
    video_of: NDArray[np.int64]
    features: list[list[Features]]

    @property
    def damaged(self) -> NDArray[np.bool_]:
        return np.array([damage is not None for damage in self.damages])


@dataclass(frozen=True)
class DropFigures:
    """Drop decisions of one method at one kept share; ``recall_by_kind`` is per kind of damage."""

    method: str
    kept_share: float
    precision: float
    recall: float
    recall_by_kind: dict[str, float]


def measure(photographs: Sequence[Path], spec: VideoSpec, seed: int) -> Videos:
    """Make a video of each photograph and measure all its frames with the embedded bundle and the Laplacian."""
    numbers: dict[str, list[float]] = {IQA: [], LAPLACIAN: []}
    damages: list[str | None] = []
    video_of: list[int] = []
    features: list[list[Features]] = []
    with load(threads=1) as scorer:
        for index, path in enumerate(track(photographs, "videos")):
            features.append([])
            for frame in make_video(read_image(path), spec, seed + index):
                numbers[IQA].append(scorer(frame.pixels).value)
                numbers[LAPLACIAN].append(laplacian_variance(frame.pixels))
                damages.append(frame.damage)
                video_of.append(index)
                features[-1].append(find_features(frame.pixels))
    random = np.random.default_rng(seed).random(len(damages))
    measured = {name: np.array(values) for name, values in numbers.items()} | {RANDOM: random}
    return Videos(measured, damages, np.array(video_of), features)


def keep_best(numbers: NDArray[np.float64], share: float) -> NDArray[np.bool_]:
    """Return which frames are kept by the one threshold that keeps ``share`` of them."""
    count = round(len(numbers) * share)
    if count == 0:
        return np.zeros(len(numbers), dtype=np.bool_)
    kept: NDArray[np.bool_] = numbers >= np.sort(numbers)[-count]
    return kept


def drop_figures(videos: Videos, method: str, share: float) -> DropFigures:
    """Compare what ``method`` drops with what was damaged."""
    dropped = ~keep_best(videos.numbers[method], share)
    damaged = videos.damaged
    hits = float(np.count_nonzero(dropped & damaged))
    by_kind = {}
    for kind in DAMAGES:
        of_kind = np.array([damage == kind for damage in videos.damages])
        if of_kind.any():
            by_kind[kind] = float(dropped[of_kind].mean())
    return DropFigures(
        method,
        float(1 - dropped.mean()),
        hits / max(1, int(np.count_nonzero(dropped))),
        hits / max(1, int(np.count_nonzero(damaged))),
        by_kind,
    )


def matches_of(videos: Videos, share: float) -> dict[str, MatchFigures]:
    """Return the feature matches between consecutive kept frames, per method and without a filter."""
    kept = {method: keep_best(numbers, share) for method, numbers in videos.numbers.items()}
    kept = {ALL: np.ones(len(videos.damages), dtype=np.bool_)} | kept
    return {
        method: match_figures(
            videos.features,
            [[bool(keep) for keep in decisions[videos.video_of == index]] for index in range(len(videos.features))],
        )
        for method, decisions in kept.items()
    }


def tables(figures: Sequence[DropFigures], matches: dict[str, MatchFigures]) -> str:
    """Return the result as two Markdown tables."""
    lines = [
        f"| kept | method | precision | recall | {' | '.join(DAMAGES)} |",
        f"|--:|:--|--:|--:|{'--:|' * len(DAMAGES)}",
    ]
    for item in figures:
        kinds = " | ".join(f"{item.recall_by_kind.get(kind, float('nan')):.2f}" for kind in DAMAGES)
        lines.append(f"| {item.kept_share:.0%} | {item.method} | {item.precision:.3f} | {item.recall:.3f} | {kinds} |")
    lines += ["", "| kept frames | pairs | mean inliers | median inliers | lost pairs |", "|:--|--:|--:|--:|--:|"]
    for method, found in matches.items():
        lines.append(
            f"| {method} | {found.pairs} | {found.mean_inliers:.0f} | {found.median_inliers:.0f} "
            f"| {found.lost_share:.1%} |"
        )
    return "\n".join(lines) + "\n"


def photographs_in(folder: Path, most: int) -> list[Path]:
    """Return the first ``most`` pictures below ``folder``, by name; raises InvalidInput where there is none."""
    endings = {".jpg", ".jpeg", ".png", ".webp"}
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in endings)
    if not found:
        raise InvalidInput(f"There are no photographs in {folder}")
    return found[:most]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m edge_iqa.benchmarks.camera_case", description="Does it help?")
    parser.add_argument(
        "--photographs", type=Path, default=embedded_photographs(), help="a folder; the embedded ones by default"
    )
    parser.add_argument("--videos", type=int, default=20, help="at most so many, one per photograph")
    parser.add_argument("--frames", type=int, default=120, help="per video")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--plot", type=Path)
    options = parser.parse_args(arguments)
    spec = VideoSpec(frames=options.frames)
    try:
        videos = measure(photographs_in(options.photographs, options.videos), spec, options.seed)
    except EdgeIqaError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    good_share = 1 - float(videos.damaged.mean())
    shares = sorted({0.5, round(good_share, 4), 0.9})
    figures = [drop_figures(videos, method, share) for share in shares for method in videos.numbers]
    matches = matches_of(videos, good_share)
    print(f"{len(videos.features)} videos, {len(videos.damages)} frames, {1 - good_share:.1%} damaged, ", end="")
    print(f"seed {options.seed}\n")
    print(tables(figures, matches), end="")
    if options.json:
        document = {
            "schema_version": SCHEMA_VERSION,
            "videos": len(videos.features),
            "frames": len(videos.damages),
            "seed": options.seed,
            "spec": asdict(spec),
            "drops": [asdict(item) for item in figures],
            "matches": {method: asdict(found) for method, found in matches.items()},
        }
        options.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    if options.plot:
        at_good_share = [item for item in figures if abs(item.kept_share - good_share) < 1e-3]
        recalls = {item.method: item.recall_by_kind for item in at_good_share}
        options.plot.write_text(recall_plot(recalls, f"{good_share:.0%} of the frames kept"), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
