"""KADID-10k: 25 distortions of 81 photographs in five levels, 10,125 pictures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from edge_iqa.benchmarks.datasets.base import DatasetFacts, LoadedDataset, finished, first_existing
from edge_iqa.benchmarks.datasets.labels import read_table


class Kadid10k:
    """Lin, Hosu, Saupe, QoMEX 2019.

    The column is named ``dmos``, but 5 is the best answer of its scale and 1 the worst: it is not turned. 23 of the
    25 distortions are among those that this project trains with, so this is not a test on unseen distortions.
    """

    facts: ClassVar[DatasetFacts] = DatasetFacts(
        name="kadid10k",
        title="KADID-10k",
        score="dmos of dmos.csv, 1..5, higher is better in spite of its name",
        negated=False,
        subset="number of the distortion, 01..25",
        resolution="full",
        layout="dmos.csv (dist_img, ref_img, dmos, var) beside images/I01_01_01.png …",
    )

    def load(self, root: Path) -> LoadedDataset:
        labels = first_existing(self.facts, root, "dmos.csv")
        folder = first_existing(self.facts, root, "images")
        rows = read_table(self.facts, labels, "dist_img", "dmos")
        opinions = [replace(row, file=f"{folder.name}/{row.file}", subset=_kind(row.file)) for row in rows]
        return finished(self.facts, root, opinions, [labels])


def _kind(file: str) -> str | None:
    parts = Path(file).stem.split("_")
    return parts[1] if len(parts) == 3 else None
