"""What --dry-run says of time: every stage of the run and no other, in proportion to the work."""

from __future__ import annotations

import dataclasses

import pytest

from edge_iqa.quantize import estimate
from edge_iqa.quantize.estimate import estimated_seconds
from edge_iqa.quantize.recipe import read_recipe


@pytest.fixture
def slow_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimate, "_seconds_per_pixel", lambda: 1e-3)  # so that whole seconds round nothing away


@pytest.mark.usefixtures("slow_machine")
def test_a_run_that_only_rounds_given_weights_asks_no_teacher() -> None:
    recipe, _ = read_recipe("quick", "hirqa-s")
    assert set(estimated_seconds(recipe, 10, taught=False)) == {
        "distorting",
        "rebuilding for TensorRT",
        "rebuilding",
        "exporting and measuring",
    }


@pytest.mark.usefixtures("slow_machine")
def test_bounds_are_a_stage_and_a_staged_teacher_is_asked_at_every_step() -> None:
    recipe, _ = read_recipe("long", "hirqa-s")
    found = estimated_seconds(recipe, 779, taught=True)
    assert found["bounding"] > 0
    by_itself = dataclasses.replace(recipe, float_stage=dataclasses.replace(recipe.float_stage, staged_steps=0))
    stored = estimated_seconds(by_itself, 779, taught=True)
    assert stored["distilling"] < found["distilling"]
    assert stored["asking the teacher"] > found["asking the teacher"]


@pytest.mark.usefixtures("slow_machine")
def test_time_grows_with_photographs_and_steps() -> None:
    recipe, _ = read_recipe("full")
    few, many = (estimated_seconds(recipe, photographs, taught=True) for photographs in (10, 1000))
    for stage in ("distorting", "asking the teacher", "solving the head"):
        assert many[stage] == pytest.approx(100 * few[stage], rel=0.01)
    assert many["quantizing"] == few["quantizing"]
    longer = dataclasses.replace(recipe, qat_stage=dataclasses.replace(recipe.qat_stage, steps=1200))
    assert estimated_seconds(longer, 10, taught=True)["quantizing"] == pytest.approx(2 * few["quantizing"], rel=0.01)
