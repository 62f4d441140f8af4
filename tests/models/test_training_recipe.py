"""Recipes: the shipped ones are whole, text and recipe are the same thing, and nonsense is refused."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from edge_iqa.errors import InvalidInput, UnknownKey
from edge_iqa.models.methods.registry import METHODS, make_method
from edge_iqa.models.training_recipe import (
    TrainingRecipe,
    check_recipe,
    read_training_recipe,
    recipe_names,
    recipe_toml,
)
from edge_iqa.spec import from_document

PLAIN = TrainingRecipe(1, "rankiqa", "resnet-18")


@pytest.mark.parametrize("name", recipe_names())
def test_a_shipped_recipe_reads_and_survives_its_own_text(name: str, tmp_path: Path) -> None:
    recipe = read_training_recipe(name)
    assert recipe.method in METHODS
    from_document(METHODS[recipe.method].objective, recipe.objective, "objective")
    (tmp_path / "again.toml").write_text(recipe_toml(recipe))
    assert read_training_recipe(str(tmp_path / "again.toml")) == recipe


def test_every_method_has_a_recipe() -> None:
    assert {read_training_recipe(name).method for name in recipe_names()} == set(METHODS)


@pytest.mark.parametrize(
    ("part", "change"),
    [
        ("data", {"levels": (3, 1)}),
        ("data", {"groups": ("fur",)}),
        ("data", {"metrics": ("ssim",)}),
        ("data", {"crop_size": 16}),
        ("training", {"window": 400}),
        ("training", {"steps": 0}),
        ("training", {"precision": "8"}),
        ("held_out", {"share": 1.0}),
    ],
)
def test_values_that_no_run_could_have_are_refused(part: str, change: dict[str, object]) -> None:
    check_recipe(PLAIN)
    wrong = dataclasses.replace(PLAIN, **{part: dataclasses.replace(getattr(PLAIN, part), **change)})
    with pytest.raises(InvalidInput, match=rf"{next(iter(change))}|levels|groups|metrics"):
        check_recipe(wrong)


def test_misspelt_keys_and_settings_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "r.toml"
    path.write_text('schema_version = 1\nmethod = "rankiqa"\n[training]\nstep = 3\n')
    with pytest.raises(UnknownKey, match="step"):
        read_training_recipe(str(path))
    with pytest.raises(UnknownKey, match="margins"):
        make_method(dataclasses.replace(PLAIN, objective={"margins": 1.0}))
    with pytest.raises(InvalidInput, match="no recipe 'slow'"):
        read_training_recipe("slow")


def test_a_method_that_does_not_fit_its_backbone_or_data_is_refused() -> None:
    with pytest.raises(InvalidInput, match="no backbone 'vgg'"):
        make_method(dataclasses.replace(PLAIN, backbone="vgg"))
    with pytest.raises(InvalidInput, match="takes no backbone"):
        make_method(TrainingRecipe(1, "sfd-iqa", "resnet-18"))
    with pytest.raises(InvalidInput, match="similarity"):
        make_method(TrainingRecipe(1, "grepq", "resnet-18"))
    with pytest.raises(InvalidInput, match="There is no file"):
        make_method(dataclasses.replace(PLAIN, weights="/nowhere/resnet.pth"))
