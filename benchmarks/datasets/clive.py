"""LIVE in the Wild Image Quality Challenge (CLIVE): 1,162 photographs from phones."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from edge_iqa.benchmarks.datasets.base import DatasetFacts, LoadedDataset, expected, finished, first_existing
from edge_iqa.benchmarks.datasets.labels import finite, read_matrix
from edge_iqa.benchmarks.opinion_tables import Opinion
from edge_iqa.errors import DatasetLayout

TRAINING_PICTURES = 7


class Clive:
    """Ghadiyaram, Bovik, IEEE Trans. Image Processing 25(1), 2016.

    The first seven entries are the pictures that viewers were trained with, and are left out.
    """

    facts: ClassVar[DatasetFacts] = DatasetFacts(
        name="clive",
        title="LIVE Challenge (ChallengeDB_release)",
        score="AllMOS_release, 0..100",
        negated=False,
        subset="none",
        resolution="full",
        layout="Data/AllImages_release.mat and Data/AllMOS_release.mat beside Images/3.bmp …",
    )

    def load(self, root: Path) -> LoadedDataset:
        list_file = first_existing(self.facts, root, "Data/AllImages_release.mat")
        score_file = first_existing(self.facts, root, "Data/AllMOS_release.mat")
        first_existing(self.facts, root, "Images")
        names = [str(entry[0]) for entry in read_matrix(self.facts, list_file, "AllImages_release")]
        scores = read_matrix(self.facts, score_file, "AllMOS_release")
        if len(names) != len(scores):
            raise DatasetLayout(
                f"{list_file.name} lists {len(names)} pictures, {score_file.name} has {len(scores)} scores",
                why=expected(self.facts),
            )
        rated = list(zip(names, scores, strict=True))[TRAINING_PICTURES:]
        opinions = [Opinion(f"Images/{name}", finite(score_file, name, score)) for name, score in rated]
        return finished(self.facts, root, opinions, [list_file, score_file])
