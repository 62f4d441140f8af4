"""``quantize``, ``train`` and ``import`` on the command line: plans, refusals, exit codes, no traceback."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from edge_iqa.models.hirqa import HiRQA


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the tool in a process of its own."""
    result = subprocess.run(
        [sys.executable, "-m", "edge_iqa", *arguments], capture_output=True, text=True, timeout=300, check=False
    )
    assert "Traceback" not in result.stderr
    return result


def test_dry_run_prints_the_plan_and_writes_nothing(tmp_path: Path) -> None:
    result = run("quantize", "--dry-run", "--recipe", "full", "-o", str(tmp_path / "b.eiqa"))
    plan = json.loads(result.stdout)
    assert result.returncode == 0
    assert plan["photographs"] == 10
    assert plan["int8_layers"] == 31
    assert plan["float_layers"][-1] == "fc.0"
    assert len(plan["float_layers"]) == 7  # the head, the stem, two blocks
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--student", "resnet"), "resnet"),
        (("--recipe", "slow"), "full, quick"),
        (("--budget", "srcc=1"), "cannot be read"),
        (("--images", "/nowhere"), "No photographs"),
        (("-o", "/nowhere/b.eiqa"), "no folder"),
        (("--teacher", "/nowhere.safetensors"), "no teacher"),
    ],
)
def test_wrong_use_of_quantize_exits_2(arguments: tuple[str, str], words: str, tmp_path: Path) -> None:
    output = () if "-o" in arguments else ("-o", str(tmp_path / "b.eiqa"))
    result = run("quantize", *arguments, *output)
    assert result.returncode == 2
    assert words in result.stderr


def test_import_converts_the_authors_layout(tmp_path: Path) -> None:
    torch.manual_seed(0)
    torch.save({"model_state_dict": HiRQA(18).state_dict()}, tmp_path / "HiRQA-S.pth")
    output = tmp_path / "s.safetensors"
    result = run("import", str(tmp_path / "HiRQA-S.pth"), "-o", str(output))
    assert result.returncode == 0
    assert result.stdout.strip() == str(output)
    assert "12,490,817 parameters" in result.stderr
    assert output.stat().st_size > 12_490_817 * 4


def test_import_refuses_another_file_with_exit_5(tmp_path: Path) -> None:
    (tmp_path / "x.pth").write_text("hello")
    result = run("import", str(tmp_path / "x.pth"), "-o", str(tmp_path / "x.safetensors"))
    assert result.returncode == 5
    assert result.stderr.startswith("E501")
    assert not (tmp_path / "x.safetensors").exists()


def test_train_refuses_an_empty_folder_and_an_unknown_method(tmp_path: Path) -> None:
    assert run("train", str(tmp_path), "-o", str(tmp_path / "t.safetensors")).returncode == 2
    result = run("train", str(tmp_path), "-o", str(tmp_path / "t.safetensors"), "--method", "niqe")
    assert result.returncode == 2
    assert "niqe" in result.stderr
