"""KonIQ-10k: 10,073 photographs from Flickr, scored in the wild."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from edge_iqa.benchmarks.datasets.base import DatasetFacts, LoadedDataset, finished, first_existing
from edge_iqa.benchmarks.datasets.labels import header, read_table

SETS = "koniq10k_distributions_sets.csv"


class Koniq10k:
    """Hosu, Lin, Sziranyi, Saupe, IEEE Trans. Image Processing 29, 2020.

    All pictures are scored, at 1024x768; where the list of the official split lies there too, its training,
    validation and test sets are the subsets of the result.
    """

    facts: ClassVar[DatasetFacts] = DatasetFacts(
        name="koniq10k",
        title="KonIQ-10k",
        score="MOS_zscore, 0..100",
        negated=False,
        subset=f"official split, where {SETS} is there",
        resolution="full",
        layout="koniq10k_scores_and_distributions.csv (image_name, MOS_zscore) beside 1024x768/826373.jpg …",
    )

    def load(self, root: Path) -> LoadedDataset:
        labels = first_existing(self.facts, root, "koniq10k_scores_and_distributions.csv")
        folder = first_existing(self.facts, root, "1024x768")
        rows = read_table(self.facts, labels, "image_name", "MOS_zscore")
        label_files, part = [labels], {}
        if (root / SETS).exists() and "set" in header(root / SETS):
            label_files.append(root / SETS)
            part = {row.file: row.subset for row in read_table(self.facts, root / SETS, "image_name", "MOS", "set")}
        opinions = [replace(row, file=f"{folder.name}/{row.file}", subset=part.get(row.file)) for row in rows]
        return finished(self.facts, root, opinions, label_files)
