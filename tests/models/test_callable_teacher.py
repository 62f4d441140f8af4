"""A Python function as a teacher: its order is kept, its scale is not asked about, its faults are named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from edge_iqa.errors import InvalidInput, MissingDependency
from edge_iqa.models.callable_teacher import CallableTeacher, is_callable_name, load_callable_teacher
from edge_iqa.quantize.distill import teacher_targets

SOURCE = """
import numpy as np

def brightness(picture):
    assert picture.dtype == np.uint8 and picture.ndim == 3 and picture.shape[2] == 3
    return 1000.0 + 7 * picture.mean()

LEVEL = 3
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """Return the name of a module in the current folder, another one for each test."""
    name = f"scorer_{abs(hash(request.node.name))}"
    (tmp_path / f"{name}.py").write_text(SOURCE)
    monkeypatch.chdir(tmp_path)
    return name


def test_it_scores_pictures_and_keeps_their_order(module: str) -> None:
    teacher = load_callable_teacher(f"{module}:brightness")
    pictures = torch.rand(2, 5, 3, 8, 8, generator=torch.Generator().manual_seed(0)) ** 2
    features = torch.stack([teacher.features(crop) for crop in pictures])
    assert features.shape == (2, 5, 1)
    expected = 1000 + 7 * float((pictures[0, 0] * 255).round().mean())
    assert float(features[0, 0, 0]) == pytest.approx(expected, abs=1e-2)
    teacher.calibrate(features)
    targets = teacher_targets(teacher, features)
    assert float(targets.logits.mean()) == pytest.approx(0, abs=1e-3)
    assert float(targets.logits.std()) == pytest.approx(1, abs=1e-3)
    assert torch.equal(targets.logits.flatten().argsort(), features.flatten().argsort())
    assert targets.components.shape == (2, 5, 1)


def test_the_hash_follows_the_source(module: str) -> None:
    teacher = load_callable_teacher(f"{module}:brightness")
    first = teacher.sha256
    Path(f"{module}.py").write_text(SOURCE + "# another\n")
    assert teacher.sha256 != first


def test_files_are_not_taken_for_functions(tmp_path: Path) -> None:
    assert is_callable_name("package.module:score")
    assert not is_callable_name("teacher.safetensors")
    assert not is_callable_name(str(tmp_path / "a:b"))
    assert not is_callable_name("C:/teacher.safetensors")


def test_what_is_no_teacher_is_refused(module: str) -> None:
    with pytest.raises(InvalidInput, match="no module"):
        load_callable_teacher("no_such_module_here:score")
    with pytest.raises(InvalidInput, match="no function 'missing'"):
        load_callable_teacher(f"{module}:missing")
    with pytest.raises(InvalidInput, match="no function 'LEVEL'"):
        load_callable_teacher(f"{module}:LEVEL")
    Path("needs_more.py").write_text("import no_such_package_here\n")
    with pytest.raises(MissingDependency, match="no_such_package_here"):
        load_callable_teacher("needs_more:score")
    picture = torch.zeros(1, 3, 8, 8)
    with pytest.raises(InvalidInput, match="finite"):
        CallableTeacher(lambda picture: float("nan"), "a:b").features(picture)
    with pytest.raises(InvalidInput, match="gave None"):
        CallableTeacher(lambda picture: None, "a:b").features(picture)  # type: ignore[arg-type,return-value]
    with pytest.raises(InvalidInput, match="every picture"):
        CallableTeacher(lambda picture: 1.0, "a:b").calibrate(torch.ones(3, 1))


def test_a_picture_reaches_the_function_as_it_was(module: str) -> None:
    seen: list[np.ndarray] = []
    teacher = CallableTeacher(lambda picture: seen.append(picture) or 0.0, "a:b")  # type: ignore[func-returns-value]
    pixels = np.arange(2 * 4 * 3, dtype=np.uint8).reshape(2, 4, 3) * 10
    teacher.features(torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255)
    assert np.array_equal(seen[0], pixels)
