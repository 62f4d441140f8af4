"""What counts as far, where it is looked for, and that training brings it back."""

from __future__ import annotations

import pytest
import torch

from edge_iqa.models.hirqa import HiRQA
from edge_iqa.quantize.reach import REACH, beyond, reaching

pytestmark = pytest.mark.usefixtures("one_thread")


def _normal(count: int = 200_000) -> torch.Tensor:
    return torch.randn(count, generator=torch.Generator().manual_seed(0))


def test_what_a_normal_variable_has_is_near_whatever_its_scale() -> None:
    x = _normal()
    for scale in (1e-3, 1.0, 1e3):
        assert float(beyond(scale * x, after_relu=False)) < 1e-5
        assert float(beyond(scale * x.relu(), after_relu=True)) < 1e-5


def test_what_is_beyond_counts_by_its_square() -> None:
    x = _normal()
    x[0], x[1] = 40.0, -40.0
    deviation = float(x.square().mean().sqrt())
    expected = 2 * (40 / deviation - REACH) ** 2 / len(x)
    assert float(beyond(x, after_relu=False)) == pytest.approx(expected, rel=0.05)


def test_nothing_at_all_reaches_nowhere() -> None:
    assert float(beyond(torch.zeros(4, 3, 2, 2), after_relu=True)) == 0


def test_everything_that_will_be_rounded_is_looked_at_and_only_meanwhile() -> None:
    student = HiRQA(18).eval()
    x = torch.rand(1, 3, 64, 64)
    with torch.no_grad(), reaching(student) as far:
        student(x)
    assert len(far) == 1 + 8 * 3 + 3  # max-pool; two convolutions and a sum in each block; three shortcuts
    with torch.no_grad():
        student(x)
    assert len(far) == 28


def test_a_channel_that_reaches_far_is_brought_back() -> None:
    torch.manual_seed(0)
    student = HiRQA(18).train()
    x = torch.rand(4, 3, 64, 64)
    with torch.no_grad():
        student.backbone.features[4][0].bn1.weight[3] = 60.0
    optimizer = torch.optim.SGD(student.parameters(), lr=1.0)
    totals = []
    for _ in range(4):
        with reaching(student) as far:
            student(x)
        total = torch.stack(far).sum()
        totals.append(float(total.detach()))
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
    assert totals[0] > 0.1
    assert totals[-1] < 0.8 * totals[0]
