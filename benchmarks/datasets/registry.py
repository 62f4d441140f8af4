"""All published datasets by name."""

from __future__ import annotations

from edge_iqa.benchmarks.datasets.base import Dataset
from edge_iqa.benchmarks.datasets.clive import Clive
from edge_iqa.benchmarks.datasets.csiq import Csiq
from edge_iqa.benchmarks.datasets.flive import Flive
from edge_iqa.benchmarks.datasets.kadid10k import Kadid10k
from edge_iqa.benchmarks.datasets.koniq10k import Koniq10k
from edge_iqa.benchmarks.datasets.live import Live
from edge_iqa.benchmarks.datasets.spaq import Spaq
from edge_iqa.benchmarks.datasets.tid2013 import Tid2013
from edge_iqa.errors import InvalidInput

_ALL: tuple[Dataset, ...] = (Live(), Csiq(), Tid2013(), Kadid10k(), Clive(), Koniq10k(), Flive(), Spaq())

DATASETS: dict[str, Dataset] = {dataset.facts.name: dataset for dataset in _ALL}
"""Every dataset by the name that ``eval --dataset`` takes."""


def find_dataset(name: str) -> Dataset:
    """Return the dataset called ``name``, hyphens and case left aside; raises InvalidInput where there is none."""
    plain = name.lower().replace("-", "").replace("_", "").replace(" ", "")
    found = DATASETS.get(
        {"livechallenge": "clive", "livefb": "flive", "koniq": "koniq10k", "kadid": "kadid10k"}.get(plain, plain)
    )
    if found is None:
        raise InvalidInput(f"There is no dataset {name!r}", fix=f"one of: {', '.join(DATASETS)}")
    return found
