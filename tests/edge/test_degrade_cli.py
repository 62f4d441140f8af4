"""``edge-iqa degrade``: one degradation, several, a drawn composition, the sheet, the list, wrong use."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_iqa.models.degradations import DEGRADATIONS, Step, apply_steps, degrade

from .command_line import Run


@pytest.fixture
def run(run: Run) -> Run:
    """Return a function that runs ``edge-iqa degrade`` in this process."""
    return partial(run, "degrade")


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "picture.png"
    noise = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    cv2.imwrite(str(path), cv2.GaussianBlur(noise, (0, 0), 2))
    return path


def read(path: Path) -> np.ndarray:
    pixels = cv2.imread(str(path), cv2.IMREAD_COLOR)
    assert pixels is not None
    return pixels[:, :, ::-1]


def as_bytes(image: np.ndarray) -> np.ndarray:
    return (image * 255.0 + 0.5).astype(np.uint8)


def test_one_degradation_is_that_of_the_library(run: Run, picture: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.png"
    assert run(picture, "--type", "haze", "--level", "4", "--seed", "7", "-o", output) == (0, "haze:4\n", "")
    source = read(picture).astype(np.float32) / np.float32(255)
    np.testing.assert_array_equal(read(output), as_bytes(degrade(source, "haze", 4, 7)))


def test_steps_are_applied_in_their_order_with_seeds_of_their_own(run: Run, picture: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.png"
    assert run(picture, "--steps", "gaublur:2, whitenoise:5", "-o", output)[:2] == (0, "gaublur:2,whitenoise:5\n")
    source = read(picture).astype(np.float32) / np.float32(255)
    expected = apply_steps(source, (Step("gaublur", 2, 0), Step("whitenoise", 5, 1)))
    np.testing.assert_array_equal(read(output), as_bytes(expected))


def test_a_drawn_composition_follows_its_seed(run: Run, picture: Path, tmp_path: Path) -> None:
    first, again, other = (
        run(picture, "--draw", "--seed", seed, "-o", tmp_path / f"{name}.png")[1]
        for name, seed in (("a", "3"), ("b", "3"), ("c", "4"))
    )
    assert first == again != other
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    drawn = run(picture, "--draw", "--group", "camera_medium", "-o", tmp_path / "d.png")[1]
    assert drawn.split(":")[0] in ("haze", "underwater")


def test_sheet_has_a_row_per_degradation_of_the_group(run: Run, picture: Path, tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.png"
    code, out, _ = run(picture, "--sheet", sheet, "--group", "noise")
    assert (code, out) == (0, f"{sheet}: 4 degradations\n")
    pixels = read(sheet)
    assert pixels.shape[0] == 4 * (48 + 20)
    assert pixels.shape[1] == 6 * (64 + 2)
    np.testing.assert_array_equal(pixels[18 : 18 + 48, :64], read(picture))  # level 0, colours in order


def test_list_names_all_with_their_levels(run: Run) -> None:
    code, out, _ = run("--list")
    lines = out.splitlines()
    assert code == 0
    assert [line.split()[0] for line in lines] == list(DEGRADATIONS)
    assert all(line.endswith(f" {DEGRADATIONS[line.split()[0]].levels[4]:g}") for line in lines)


def test_wrong_use_is_2_and_writes_nothing(run: Run, picture: Path, tmp_path: Path) -> None:
    output = ["-o", str(tmp_path / "out.png")]
    cases: list[tuple[list[str], str]] = [
        ([], "No picture is named"),
        ([str(picture)], "one thing to do"),
        ([str(picture), "--draw", "--type", "jpeg", *output], "one thing to do"),
        ([str(picture), "--type", "jpeg"], "where to write"),
        ([str(picture), "--sheet", str(tmp_path / "s.png"), *output], "where to write"),
        ([str(picture), "--type", "nosuch", *output], "no degradation 'nosuch'"),
        ([str(picture), "--type", "jpeg", "--level", "6", *output], "level 6"),
        ([str(picture), "--steps", "jpeg", *output], "no level in 'jpeg'"),
        ([str(picture), "--type", "jpeg", "--seed", "-1", *output], "seed -1"),
        ([str(picture), "--type", "jpeg", "-o", str(tmp_path / "out.txt")], "not named like a picture"),
        ([str(picture), "--type", "jpeg", "-o", str(tmp_path / "no" / "out.png")], "cannot be written"),
        (["--list", "--group", "nosuch"], "no group 'nosuch'"),
    ]
    for arguments, message in cases:
        code, out, err = run(*arguments)
        assert (code, out) == (2, ""), arguments
        assert message in err, (arguments, err)
    assert sorted(tmp_path.iterdir()) == [picture]


def test_a_broken_picture_is_3(run: Run, tmp_path: Path) -> None:
    code, _, err = run(tmp_path / "none.png", "--type", "jpeg", "-o", tmp_path / "out.png")
    assert code == 3
    assert err.startswith("E201")
