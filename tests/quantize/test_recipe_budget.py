"""Recipes and budgets: what is read, what is refused, what holds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge_iqa.errors import InvalidInput, UnknownKey
from edge_iqa.quantize.budget import TargetScores, parse_budget
from edge_iqa.quantize.recipe import read_recipe, recipe_names


@pytest.mark.parametrize("name", recipe_names())
def test_shipped_recipes_read(name: str) -> None:
    recipe, text = read_recipe(name)
    assert recipe.name == name
    assert f'name = "{name}"' in text
    assert recipe.height % 32 == 0
    assert recipe.width % 32 == 0


def test_a_misspelt_key_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "r.toml"
    path.write_text('schema_version = 1\nname = "r"\n[float_stage]\nsteps = 1\nbatches = 2\n[qat_stage]\nsteps = 1\n')
    with pytest.raises(UnknownKey, match="batches"):
        read_recipe(str(path))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("schema_version = 2", "schema_version 2"),
        ("a = = 1", "not TOML"),
        ("schema_version = 1", "lacks the key"),
    ],
)
def test_broken_recipes_are_named(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "r.toml").write_text(text)
    with pytest.raises(InvalidInput, match=words):
        read_recipe(str(tmp_path / "r.toml"))


def test_a_missing_recipe_names_the_shipped_ones() -> None:
    with pytest.raises(InvalidInput) as caught:
        read_recipe("fulll")
    assert "full, quick" in caught.value.fix


def test_budget_holds_and_misses() -> None:
    reference = np.array([0.1, 0.4, 0.6, 0.9])
    drift = TargetScores("x", reference, reference + np.array([0.0, 0.0, -0.15, 0.01]))
    srcc, largest, mean, flips = parse_budget("srcc>=0.998, max_abs<=0.1, mae<=0.05, flips@0.5<=0")
    assert srcc.holds(drift)
    assert not largest.holds(drift)
    assert mean.holds(drift)
    assert not flips.holds(drift)  # 0.6 became 0.45
    assert str(largest) == "max_abs<=0.1"
    assert drift.value("flips@0.5") == 1


@pytest.mark.parametrize("text", ["srcc<=0.9", "max_abs>=0.1", "speed<=3", "srcc>=high", "flips<=1"])
def test_unreadable_budgets_are_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="cannot be read"):
        parse_budget(text)
