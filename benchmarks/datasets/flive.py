"""FLIVE (LIVE-FB, PaQ-2-PiQ): 39,810 photographs of social media."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from edge_iqa.benchmarks.datasets.base import DatasetFacts, LoadedDataset, finished, first_existing
from edge_iqa.benchmarks.datasets.labels import read_table


class Flive:
    """Ying et al., From patches to pictures, CVPR 2020. Whole pictures, not patches; resized to 512x512.

    The subset is the first folder of a name: the collection that the picture was taken from.
    """

    facts: ClassVar[DatasetFacts] = DatasetFacts(
        name="flive",
        title="FLIVE (LIVE-FB)",
        score="mos of labels_image.csv, 0..100",
        negated=False,
        subset="collection the picture was taken from",
        resolution="512x512",
        layout="labels_image.csv (name, mos) beside database/voc_emotic_ava/AVA__149.jpg …",
    )

    def load(self, root: Path) -> LoadedDataset:
        labels = first_existing(self.facts, root, "labels_image.csv")
        inside = "database/" if (root / "database").is_dir() else ""
        rows = read_table(self.facts, labels, "name", "mos")
        opinions = [replace(row, file=f"{inside}{row.file}", subset=_collection(row.file)) for row in rows]
        return finished(self.facts, root, opinions, [labels])


def _collection(file: str) -> str | None:
    parts = Path(file).parts
    return parts[0] if len(parts) > 1 else None
