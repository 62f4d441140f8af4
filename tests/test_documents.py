"""What the documents tell a user to type works: every edge-iqa command and every Python block is run."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from edge_iqa.models.hirqa import HiRQA

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
_BLOCK = re.compile(r"```(\w+)\n(.*?)```", re.DOTALL)
# Hours of training, or a device that is not here; their options are checked by --help below.
_LONG = ("edge-iqa train", "edge-iqa quantize")


def _blocks(language: str) -> list[tuple[str, str]]:
    return [
        (document.name, body)
        for document in DOCUMENTS
        for kind, body in _BLOCK.findall(document.read_text(encoding="utf-8"))
        if kind == language
    ]


# exit statuses that the document itself announces
_STATED = {"edge-iqa eval --sanity": 1}


def _commands() -> list[str]:
    lines = [line.split("  #")[0].strip() for _, body in _blocks("console") for line in body.splitlines()]
    return sorted({line for line in lines if line.startswith("edge-iqa")})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder that looks like the checkout to a reader, but may be written to."""
    (tmp_path / "edge").symlink_to(ROOT / "edge")
    return tmp_path


def _run(arguments: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    return subprocess.run(
        arguments, cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False
    )


def test_there_are_commands_to_check() -> None:
    assert len(_commands()) >= 3


@pytest.mark.parametrize("command", _commands())
def test_command_of_a_document_runs(command: str, folder: Path) -> None:
    words = shlex.split(command)
    if command.startswith(_LONG):
        known = _run([sys.executable, "-m", "edge_iqa", words[1], "--help"], folder).stdout
        assert all(option in known for option in words if option.startswith("-"))
        return
    if "HiRQA-S.pth" in words:  # the authors' file, which a user brings
        torch.save({"model_state_dict": HiRQA(18).state_dict()}, folder / "HiRQA-S.pth")
    result = _run([sys.executable, "-m", "edge_iqa", *words[1:]], folder)
    assert result.returncode == _STATED.get(command, 0), result.stderr


@pytest.mark.parametrize(("document", "body"), _blocks("python"))
def test_python_block_of_a_document_runs(document: str, body: str, folder: Path) -> None:
    result = _run([sys.executable, "-c", body], folder)
    assert result.returncode == 0, f"{document}: {result.stderr}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)", document.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (document.parent / target).exists(), target
