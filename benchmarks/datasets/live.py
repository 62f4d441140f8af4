"""LIVE Image Quality Assessment Database, release 2: five distortions of 29 photographs, 779 pictures."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from edge_iqa.benchmarks.datasets.base import DatasetFacts, LoadedDataset, expected, finished, first_existing
from edge_iqa.benchmarks.datasets.labels import finite, read_matrix
from edge_iqa.benchmarks.opinion_tables import Opinion
from edge_iqa.errors import DatasetLayout

FOLDERS = ("jp2k", "jpeg", "wn", "gblur", "fastfading")


class Live:
    """Sheikh, Sabir, Bovik, IEEE Trans. Image Processing 15(11), 2006; realigned DMOS of release 2.

    ``dmos_new`` has one number per picture, folder after folder (jp2k 227, jpeg 233, wn, gblur and fastfading
    174 each), and ``orgs`` marks the undistorted copies among them, which are left out.
    """

    facts: ClassVar[DatasetFacts] = DatasetFacts(
        name="live",
        title="LIVE (release 2)",
        score="dmos_new of dmos_realigned.mat, 0..100",
        negated=True,
        subset="kind of distortion",
        resolution="full",
        layout="dmos_realigned.mat beside the folders jp2k, jpeg, wn, gblur, fastfading with img1.bmp, img2.bmp …",
    )

    def load(self, root: Path) -> LoadedDataset:
        labels = first_existing(self.facts, root, "dmos_realigned.mat")
        scores = read_matrix(self.facts, labels, "dmos_new")
        pristine = read_matrix(self.facts, labels, "orgs")
        files = [name for folder in FOLDERS for name in self._pictures(root, folder)]
        if not len(files) == len(scores) == len(pristine):
            raise DatasetLayout(
                f"{labels.name} has {len(scores)} scores and {len(pristine)} marks for {len(files)} pictures",
                why="a picture is found by its place in the list, so every one must be there",
                fix=expected(self.facts),
            )
        opinions = [
            Opinion(file, finite(labels, file, score), file.split("/")[0])
            for file, score, is_pristine in zip(files, scores, pristine, strict=True)
            if not is_pristine
        ]
        return finished(self.facts, root, opinions, [labels])

    def _pictures(self, root: Path, folder: str) -> list[str]:
        place = first_existing(self.facts, root, folder)
        count = sum(1 for _ in place.glob("img*.bmp"))
        return [f"{folder}/img{number}.bmp" for number in range(1, count + 1)]
