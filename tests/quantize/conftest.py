"""A seeded student whose activations are alive, without pretrained weights."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from edge_iqa.models.lite import HirqaSLite


@pytest.fixture(scope="session")
def student() -> HirqaSLite:
    """Return a seeded student in evaluation mode: He initialisation, batch statistics taken from noise."""
    torch.manual_seed(0)
    network = HirqaSLite()
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_in", nonlinearity="relu")
        elif isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    network.train()
    with torch.no_grad():
        network(torch.randn(4, 3, 64, 96))
    return network.eval()
