"""Documents become frozen dataclasses, or are refused with the place of the fault."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_iqa.errors import InvalidInput, UnknownKey
from edge_iqa.spec import from_document


@dataclass(frozen=True)
class Size:
    height: int
    width: int = 3

    def __post_init__(self) -> None:
        if self.height < 1:
            raise InvalidInput("The height must be positive")


@dataclass(frozen=True)
class Plan:
    name: str
    rate: float
    size: Size
    limits: tuple[float, float] = (0.0, 1.0)
    steps: tuple[int, ...] = ()
    sizes: dict[str, Size] | None = None
    keep: bool = False
    note: Any = None


GOOD = {"name": "a", "rate": 0.5, "size": {"height": 2}}


def test_defaults_nesting_and_containers() -> None:
    document = {
        **GOOD,
        "rate": 2,
        "limits": [1, 2.5],
        "steps": [1, 2, 3],
        "sizes": {"s": {"height": 4, "width": 5}},
        "keep": True,
        "note": {"any": [None]},
    }
    plan = from_document(Plan, document, "plan")
    assert plan == Plan("a", 2.0, Size(2, 3), (1.0, 2.5), (1, 2, 3), {"s": Size(4, 5)}, True, {"any": [None]})
    assert isinstance(plan.rate, float)
    assert from_document(Plan, {**GOOD, "sizes": None}, "plan").sizes is None


@given(
    name=st.text(),
    rate=st.floats(allow_nan=False, allow_infinity=False),
    height=st.integers(1, 10**6),
    steps=st.lists(st.integers()),
    limits=st.tuples(st.floats(-9, 9), st.floats(-9, 9)),
)
def test_round_trip_through_json(
    name: str, rate: float, height: int, steps: list[int], limits: tuple[float, float]
) -> None:
    plan = Plan(name, rate, Size(height), limits, tuple(steps))
    assert from_document(Plan, json.loads(json.dumps(asdict(plan))), "plan") == plan


def test_unknown_key_is_named_with_the_known_ones() -> None:
    with pytest.raises(UnknownKey, match=r"plan\.size has an unknown key 'heigth'") as caught:
        from_document(Plan, {**GOOD, "size": {"heigth": 2}}, "plan")
    assert "height, width" in caught.value.fix


def test_missing_key_is_named() -> None:
    with pytest.raises(InvalidInput, match="plan lacks the key 'rate'"):
        from_document(Plan, {"name": "a", "size": {"height": 2}}, "plan")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("name", 3),
        ("name", None),
        ("rate", "0.5"),
        ("rate", True),
        ("rate", None),
        ("size", [2]),
        ("size", None),
        ("limits", [1.0]),
        ("limits", [1.0, 2.0, 3.0]),
        ("limits", 1.0),
        ("limits", "12"),
        ("steps", [1, "2"]),
        ("steps", [1.5]),
        ("steps", [True]),
        ("steps", [False]),
        ("sizes", {"s": 1}),
        ("keep", 1),
        ("keep", "yes"),
    ],
)
def test_wrong_type_is_refused_with_its_place(key: str, value: object) -> None:
    with pytest.raises(InvalidInput, match=rf"plan\.{key}"):
        from_document(Plan, {**GOOD, key: value}, "plan")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf"), 10**400])
def test_numbers_that_are_not_finite_are_refused(value: float) -> None:
    with pytest.raises(InvalidInput, match=r"plan\.rate must be a finite number"):
        from_document(Plan, {**GOOD, "rate": value}, "plan")


def test_a_refusal_of_the_class_itself_passes_through() -> None:
    with pytest.raises(InvalidInput, match="height must be positive"):
        from_document(Plan, {**GOOD, "size": {"height": 0}}, "plan")


@pytest.mark.parametrize("document", [None, [], "text", 3])
def test_only_a_table_is_a_document(document: object) -> None:
    with pytest.raises(InvalidInput, match="plan must be a table"):
        from_document(Plan, document, "plan")
