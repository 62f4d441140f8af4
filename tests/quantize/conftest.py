"""The shipped student in float, which tests quantize again."""

from __future__ import annotations

import pytest

from edge_iqa.models.lite import HirqaSLite


@pytest.fixture(scope="session")
def student() -> HirqaSLite:
    """Return the shipped student in evaluation mode; tests do not change it."""
    network = HirqaSLite().eval()
    network.load_shipped()
    return network
