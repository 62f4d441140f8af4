"""The tree of errors: codes, exit statuses and texts agree with the drawing in the module docstring."""

from __future__ import annotations

import re

import pytest

from edge_iqa import errors
from edge_iqa.errors import EdgeIqaError, ImageCorrupt, all_errors

CLASSES = list(all_errors())
TREE_LINE = re.compile(r"^(?P<indent>[│ ]*)[├└]── (?P<name>\w+)\s+(?P<code>E\d{3})\b.*?(?:exit (?P<exit>\d+))?$")


def drawn_tree() -> dict[str, tuple[str, str, int]]:
    """Return class name -> (code, parent's name, exit status) from the drawing in the module docstring."""
    assert errors.__doc__ is not None
    drawn: dict[str, tuple[str, str, int]] = {}
    parents = {-1: ("EdgeIqaError", 70)}
    for line in errors.__doc__.splitlines():
        found = TREE_LINE.match(line)
        if found is None:
            continue
        depth = len(found["indent"]) // 4
        parent, inherited_exit = parents[depth - 1]
        exit_code = int(found["exit"]) if found["exit"] else inherited_exit
        drawn[found["name"]] = (found["code"], parent, exit_code)
        parents[depth] = (found["name"], exit_code)
    return drawn


def test_drawn_tree_is_the_class_tree() -> None:
    actual = {cls.__name__: (cls.code, cls.__base__.__name__, cls.exit_code) for cls in CLASSES if cls.__base__}
    assert drawn_tree() == actual
    assert len(actual) == len(CLASSES) > 10


def test_codes_are_unique_and_not_the_base_code() -> None:
    codes = [cls.code for cls in CLASSES]
    assert len(set(codes)) == len(codes)
    assert EdgeIqaError.code not in codes


def test_every_exit_status_is_documented_and_means_a_failure() -> None:
    assert {cls.exit_code for cls in CLASSES} == {1, 2, 3, 4, 5}
    assert EdgeIqaError.exit_code == 70


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.code)
def test_every_class_explains_itself(cls: type[EdgeIqaError]) -> None:
    own_text = cls.__dict__.get("__doc__")
    assert own_text
    assert len(own_text.split()) >= 6
    assert "code" in cls.__dict__


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.code)
def test_text_shows_code_what_why_and_fix(cls: type[EdgeIqaError]) -> None:
    error = cls("it broke", why="a cable", fix="plug it in")
    assert str(error).splitlines() == [f"{cls.code}: it broke", "  why: a cable", "  fix: plug it in"]
    assert (error.what, error.why, error.fix) == ("it broke", "a cable", "plug it in")


def test_text_leaves_out_what_is_not_known() -> None:
    assert str(ImageCorrupt("it broke")) == "E204: it broke"
    assert str(ImageCorrupt("it broke", fix="mend it")).splitlines() == ["E204: it broke", "  fix: mend it"]


def test_machine_form_is_one_line() -> None:
    error = ImageCorrupt("it\nbroke", why="a\n  cable", fix="plug it in")
    assert error.as_dict() == {"code": "E204", "message": "it broke (a cable)"}
    assert ImageCorrupt("it broke").as_dict() == {"code": "E204", "message": "it broke"}
