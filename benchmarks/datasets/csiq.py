"""CSIQ (Categorical Subjective Image Quality): six distortions of 30 photographs, 866 pictures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from edge_iqa.benchmarks.datasets.base import DatasetFacts, LoadedDataset, finished, first_existing, names_on_disk
from edge_iqa.benchmarks.datasets.labels import finite, read_lines, read_workbook
from edge_iqa.benchmarks.opinion_tables import Opinion
from edge_iqa.errors import DatasetLayout

FOLDERS = {"awgn": "awgn", "noise": "awgn", "jpeg": "jpeg", "jpeg 2000": "jpeg2000", "jpeg2000": "jpeg2000"}


class Csiq:
    """Larson, Chandler, J. Electronic Imaging 19(1), 2010.

    The scores are in the sheet ``all_by_image`` of ``csiq.DMOS.xlsx``. Copies of the set often carry them in
    ``csiq_label.txt`` instead (a line ``NAME.TYPE.LEVEL.png dmos`` each), which is read where there is no
    workbook. Pictures lie in a folder per distortion below ``dst_imgs``, or all in ``dst_imgs_all``.
    """

    facts: ClassVar[DatasetFacts] = DatasetFacts(
        name="csiq",
        title="CSIQ",
        score="dmos, 0..1",
        negated=True,
        subset="kind of distortion",
        resolution="full",
        layout="csiq.DMOS.xlsx (or csiq_label.txt) beside dst_imgs/awgn/1600.AWGN.1.png …",
    )

    def load(self, root: Path) -> LoadedDataset:
        labels = first_existing(self.facts, root, "csiq.DMOS.xlsx", "csiq_label.txt")
        pictures = first_existing(self.facts, root, "dst_imgs", "dst_imgs_all")
        on_disk = {name: file for name, file in _pictures(pictures)}
        rows = self._workbook(labels) if labels.suffix == ".xlsx" else self._lines(labels)
        opinions = []
        for image, kind, level, score in rows:
            folder = FOLDERS.get(kind, kind)
            name = f"{image}.{folder}.{level}.png"
            listed = f"{pictures.name}/{folder}/{name}"
            file = f"{pictures.name}/{on_disk[name]}" if name in on_disk else listed
            opinions.append(Opinion(file, finite(labels, name, score), folder))
        return finished(self.facts, root, opinions, [labels])

    def _workbook(self, labels: Path) -> Iterator[tuple[str, str, int, object]]:
        columns = ("image", "dst_type", "dst_lev", "dmos")
        for row in read_workbook(self.facts, labels, "all_by_image", columns):
            image = row["image"]  # the name 1600 is a number in the workbook
            name = str(int(image) if isinstance(image, float) else image).lower()
            level = int(finite(labels, f"the level of {name}", row["dst_lev"]))
            yield name, str(row["dst_type"]).lower(), level, row["dmos"]

    def _lines(self, labels: Path) -> Iterator[tuple[str, str, int, object]]:
        for words in read_lines(labels):
            parts = words[0].lower().split(".")
            if len(words) != 2 or len(parts) != 4 or not parts[2].isdigit():
                raise DatasetLayout(f"{labels} has the line {' '.join(words)!r}", why="expected: 1600.AWGN.1.png 0.062")
            yield parts[0], parts[1], int(parts[2]), words[1]


def _pictures(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield (name in lower case, path below ``folder``) of every picture, in it or in the folders in it."""
    for inner in [folder, *sorted(entry for entry in folder.iterdir() if entry.is_dir())]:
        for name, file in names_on_disk(inner, "*.png").items():
            yield name, file if inner == folder else f"{inner.name}/{file}"
