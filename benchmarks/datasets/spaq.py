"""SPAQ (Smartphone Photography Attribute and Quality): 11,125 photographs by 66 phones."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from edge_iqa.benchmarks.datasets.base import DatasetFacts, LoadedDataset, finished, first_existing
from edge_iqa.benchmarks.datasets.labels import finite, read_workbook
from edge_iqa.benchmarks.opinion_tables import Opinion

WORKBOOK = "MOS and Image attribute scores.xlsx"


class Spaq:
    """Fang et al., Perceptual quality assessment of smartphone photography, CVPR 2020."""

    facts: ClassVar[DatasetFacts] = DatasetFacts(
        name="spaq",
        title="SPAQ",
        score="MOS, 0..100",
        negated=False,
        subset="none",
        resolution="shorter-512",
        layout=f"Annotations/{WORKBOOK} beside TestImage/00001.jpg …",
    )

    def load(self, root: Path) -> LoadedDataset:
        labels = first_existing(self.facts, root, f"Annotations/{WORKBOOK}", WORKBOOK)
        folder = first_existing(self.facts, root, "TestImage")
        opinions = []
        for row in read_workbook(self.facts, labels, None, ("Image name", "MOS")):
            name = str(row["Image name"])
            opinions.append(Opinion(f"{folder.name}/{name}", finite(labels, name, row["MOS"])))
        return finished(self.facts, root, opinions, [labels])
