"""The ablation reads the blocks that its rows name, and its first row is the shipped teacher."""

from __future__ import annotations

import torch

from edge_iqa.benchmarks.teacher_ablation import BLOCKS, columns, variants
from edge_iqa.models.stage_statistics import StageStatistics
from edge_iqa.models.teacher import TeacherSpec


def test_chosen_columns_are_the_features_of_those_blocks() -> None:
    torch.manual_seed(0)
    whole = StageStatistics(BLOCKS).eval()
    pixels = torch.randn(1, 3, 64, 96)
    for blocks in ((10, 13, 15), (12,)):
        part = StageStatistics(blocks).eval()
        part.trunk.load_state_dict(whole.trunk.state_dict(), strict=False)
        torch.testing.assert_close(whole.features(pixels)[:, columns(blocks)], part.features(pixels))


def test_rows_differ_and_begin_with_the_shipped_teacher() -> None:
    rows = list(variants())
    assert len({row.name for row in rows}) == len(rows)
    assert rows[0].spec == TeacherSpec()
    assert all(set(row.blocks) <= set(BLOCKS) for row in rows)
