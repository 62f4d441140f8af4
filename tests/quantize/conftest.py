"""The shipped student in float, which tests quantize again, and a set of pictures for stages that train."""

from __future__ import annotations

import numpy as np
import pytest

from edge_iqa.models.lite import HirqaSLite
from edge_iqa.models.synthesis import VERSIONS, SynthesisSpec, SyntheticSet


@pytest.fixture(scope="session")
def student() -> HirqaSLite:
    """Return the shipped student in evaluation mode; tests do not change it."""
    network = HirqaSLite().eval()
    network.load_shipped()
    return network


@pytest.fixture(scope="session")
def noise_set() -> SyntheticSet:
    """Return a set of random pictures of 64 pixels."""
    side = 64
    known = np.zeros((1, VERSIONS), int)
    made = np.random.default_rng(0).integers(0, 256, (1, VERSIONS, side, side, 3), np.uint8)
    spec = SynthesisSpec(crop_size=side, metrics=())
    return SyntheticSet(made, known, known, [[() for _ in range(VERSIONS)]], {}, [""], spec, "sha")
