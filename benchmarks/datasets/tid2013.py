"""TID2013 (Tampere Image Database): 24 distortions of 25 pictures in five levels, 3,000 pictures."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from edge_iqa.benchmarks.datasets.base import DatasetFacts, LoadedDataset, finished, first_existing, names_on_disk
from edge_iqa.benchmarks.datasets.labels import finite, read_lines
from edge_iqa.benchmarks.opinion_tables import Opinion
from edge_iqa.errors import DatasetLayout


class Tid2013:
    """Ponomarenko et al., Signal Processing: Image Communication 30, 2015.

    ``mos_with_names.txt`` has a line ``5.51429 I01_01_1.bmp`` each: picture, kind of distortion, level. The files
    on disk are written in another case in some copies.
    """

    facts: ClassVar[DatasetFacts] = DatasetFacts(
        name="tid2013",
        title="TID2013",
        score="MOS, 0..9",
        negated=False,
        subset="number of the distortion, 01..24",
        resolution="full",
        layout="mos_with_names.txt beside distorted_images/I01_01_1.bmp …",
    )

    def load(self, root: Path) -> LoadedDataset:
        labels = first_existing(self.facts, root, "mos_with_names.txt")
        folder = first_existing(self.facts, root, "distorted_images")
        on_disk = names_on_disk(folder)
        opinions = []
        for words in read_lines(labels):
            parts = words[-1].split("_")
            if len(words) != 2 or len(parts) != 3:
                raise DatasetLayout(f"{labels} has the line {' '.join(words)!r}", why="expected: 5.51429 I01_01_1.bmp")
            file = f"{folder.name}/{on_disk.get(words[1].lower(), words[1])}"
            opinions.append(Opinion(file, finite(labels, words[1], words[0]), parts[1]))
        return finished(self.facts, root, opinions, [labels])
