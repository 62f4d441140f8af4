"""What each part of the teacher is worth: one part changed at a time, everything else as shipped.

    python -m edge_iqa.benchmarks.teacher_ablation PHOTOGRAPHS DATA --work FOLDER > table.md

Only the head is trained again, on features that are computed once and kept in FOLDER. ``held out`` is the SROCC with
the training target on the photographs (every fifth) that the head has not seen; the other columns are agreement with
people, in DATA (``biq2021-dev/index.csv`` and ``authentic-dev/pairs.csv``). The shipped teacher is the first row.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edge_iqa.benchmarks.opinion_tables import read_opinions, read_pairs
from edge_iqa.benchmarks.stats_correlation import srocc
from edge_iqa.decode import read_image
from edge_iqa.models.degradations import CAMERA_GROUPS, DEGRADATIONS
from edge_iqa.models.efficientnet_lite import BLOCK_CHANNELS, load_imagenet
from edge_iqa.models.memory import keep_freed_memory
from edge_iqa.models.stage_statistics import STAGE_ENDS, StageStatistics
from edge_iqa.models.synthesis import SynthesisSpec, SyntheticSet, find_photographs, synthesize
from edge_iqa.models.teacher import TeacherSpec, extract_features, fit_head, learnt_from, normalised, quality_targets
from edge_iqa.progress import track

HELD_OUT_EVERY = 5
BLOCKS = (10, 12, 13, 15)  # whose statistics are kept: the last at stride 16, and three at stride 32
_PUBLISHED = tuple(name for name, item in DEGRADATIONS.items() if item.group not in CAMERA_GROUPS)
_CAMERA = tuple(name for name, item in DEGRADATIONS.items() if item.group in CAMERA_GROUPS)


@dataclass(frozen=True)
class Material:
    """Statistics of ``BLOCKS``: of the training set ``(C, V, F)`` and of the pictures that people judged."""

    data: SyntheticSet
    features: Tensor
    judged: Tensor
    opinions: NDArray[np.float64]
    subsets: list[str | None]
    pairs: Tensor
    kinds: list[str | None]


@dataclass(frozen=True)
class Variant:
    """One row: ``spec`` of the training, which pictures of each crop it may use (``allowed`` ``(C, V)``), and what of
    ``BLOCKS`` it reads.
    """

    name: str
    spec: TeacherSpec
    allowed: Callable[[SyntheticSet], NDArray[np.bool_]] = lambda data: np.ones(data.levels.shape, bool)
    blocks: tuple[int, ...] = STAGE_ENDS


def variants() -> Iterator[Variant]:
    """Yield the rows; the first is the shipped teacher."""
    shipped = TeacherSpec()
    yield Variant("as shipped", shipped)
    for blocks in ((12,), (12, 13), (10, 15), (10, 12, 13, 15)):
        yield Variant("blocks " + ", ".join(map(str, blocks)), shipped, blocks=blocks)
    yield Variant("order only, no pair of pairs", replace(shipped, pair_weight=0.0))
    yield Variant("pair of pairs only", replace(shipped, order_weight=0.0))
    yield Variant("ranks of FSIM, MDSI and VSI", replace(shipped, metrics=("fsim", "mdsi", "vsi")))
    for metric in ("mdsi", "vsi", "gmsd", "haarpsi"):
        yield Variant(f"ranks of {metric.upper()} alone", replace(shipped, metrics=(metric,)))
    yield Variant("all 37 degradations", replace(shipped, degradations=()))
    yield Variant("the 24 published degradations", replace(shipped, degradations=_PUBLISHED))
    yield Variant("the 13 of cameras alone", replace(shipped, degradations=_CAMERA))
    yield Variant("rising series, no compositions", shipped, lambda data: data.series >= 0)
    yield Variant("compositions, no rising series", shipped, lambda data: data.series < 0)
    for level in (1, 3, 4, 5):
        yield Variant(f"levels up to {level} instead of {shipped.most_level}", replace(shipped, most_level=level))
    for penalty in (0.3, 1.0, 10.0):
        yield Variant(f"penalty {penalty:g} instead of {shipped.penalty:g}", replace(shipped, penalty=penalty))


def columns(blocks: Sequence[int]) -> list[int]:
    """Return which columns of the statistics of ``BLOCKS`` are those of ``blocks``."""
    starts = np.cumsum([0] + [2 * BLOCK_CHANNELS[block] for block in BLOCKS])
    places = [BLOCKS.index(block) for block in blocks]
    return [column for place in places for column in range(starts[place], starts[place + 1])]


def measure(variant: Variant, material: Material) -> list[str]:
    """Train one head and return its row of the table."""
    data, network, read = material.data, StageStatistics(variant.blocks), columns(variant.blocks)
    features = material.features[..., read]
    targets = torch.from_numpy(quality_targets(data, variant.spec.metrics))
    used = torch.from_numpy(learnt_from(data, variant.spec) & variant.allowed(data))
    used[:, 0] = True  # the undistorted crop always counts
    seen = torch.arange(len(targets)) % HELD_OUT_EVERY > 0
    fit_head(network, features[seen], targets[seen], variant.spec, used[seen])
    with torch.no_grad():
        held_out = network.logit(features[~seen].flatten(0, 1)).squeeze(1).numpy()
        expected = quality_targets(data, TeacherSpec().metrics)[~seen.numpy()].ravel()
        scores = network.logit(material.judged[:, read]).squeeze(1).numpy()
        better, worse = network.logit(material.pairs[..., read].flatten(0, 1)).reshape(-1, 2).T.numpy()
    subsets = sorted({subset for subset in material.subsets if subset})
    chosen = [np.array([subset == one for subset in material.subsets]) for one in subsets]
    right = better > worse
    return [
        variant.name,
        f"{srocc(held_out, expected):.3f}",
        f"{srocc(scores, material.opinions):.3f}",
        *(f"{srocc(scores[rows], material.opinions[rows]):.3f}" for rows in chosen),
        f"{right.sum()}/{len(right)}",
        *(_share(right, material.kinds, kind) for kind in sorted({kind for kind in material.kinds if kind})),
    ]


def _share(right: NDArray[np.bool_], kinds: Sequence[str | None], kind: str) -> str:
    rows = np.array([one == kind for one in kinds])
    return f"{right[rows].sum()}/{rows.sum()}"


def gather(photographs: Path, data_folder: Path, work: Path) -> Material:
    """Compute the features, or read back those that ``work`` keeps."""
    network = StageStatistics(BLOCKS)
    load_imagenet(network.trunk)
    network.eval()
    data = synthesize(find_photographs(photographs), SynthesisSpec(), work / "photographs", workers=2)
    opinions = read_opinions(data_folder / "biq2021-dev" / "index.csv")
    pairs = read_pairs(data_folder / "authentic-dev" / "pairs.csv")
    files = [data_folder / "biq2021-dev" / row.file for row in opinions]
    paired = [data_folder / "authentic-dev" / name for pair in pairs for name in (pair.better, pair.worse)]
    features = _kept(work / "training-features.npy", lambda: extract_features(network, data))
    judged = _kept(work / "judged-features.npy", lambda: _features_of(network, files))
    of_pairs = _kept(work / "pair-features.npy", lambda: _features_of(network, paired))
    return Material(
        data,
        features,
        judged,
        np.array([row.opinion for row in opinions]),
        [row.subset for row in opinions],
        of_pairs.reshape(len(pairs), 2, -1),
        [pair.kind for pair in pairs],
    )


def _kept(path: Path, make: Callable[[], Tensor]) -> Tensor:
    if not path.exists():
        np.save(path, make().numpy())
    return torch.from_numpy(np.load(path))


def _features_of(network: StageStatistics, files: Sequence[Path]) -> Tensor:
    rows = []
    for file in track(list(files), "features"):
        pixels = torch.from_numpy(read_image(file))[None]
        rows.append(network.features(normalised(pixels, network.mean, network.std)))
    return torch.cat(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description="Print the ablation of the teacher's training as Markdown.")
    parser.add_argument("photographs", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    options = parser.parse_args()
    keep_freed_memory()
    material = gather(options.photographs, options.data, options.work)
    subsets = sorted({subset for subset in material.subsets if subset})
    kinds = sorted({kind for kind in material.kinds if kind})
    print("| " + " | ".join(["training", "held out", "BIQ2021", *subsets, "pairs", *kinds]) + " |")
    print("|" + " --- |" * (4 + len(subsets) + len(kinds)))
    for variant in track(list(variants()), "heads"):
        print("| " + " | ".join(measure(variant, material)) + " |", flush=True)


if __name__ == "__main__":
    main()
