"""The runtime scores without torch, onnx and the rest of the training side, and imports nothing heavy early."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TRAINING = (
    "torch", "onnx", "onnxscript", "safetensors", "scipy", "flatbuffers", "tensorrt", "tensorrt_rtx", "polygraphy",
)  # fmt: skip
RUNTIMES = ("numpy", "cv2", "onnxruntime", "openvino", "ai_edge_litert", "rich")

_BLOCK = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {names!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
        return None
sys.meta_path.insert(0, Blocked())
"""


def run(source: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run ``source`` in a fresh Python that imports this checkout."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    return subprocess.run(
        [sys.executable, "-c", source, *arguments],
        capture_output=True, text=True, env=environment, timeout=600, check=False, cwd=ROOT,
    )  # fmt: skip


@pytest.mark.parametrize("missing", [(), ("openvino", "ai_edge_litert")])
def test_scores_without_the_training_side(missing: tuple[str, ...]) -> None:
    source = (
        _BLOCK.format(names={*TRAINING, *missing})
        + """
import json, edge_iqa
scorer = edge_iqa.load()
score = scorer("edge/assets/photographs/kodak03.jpg")
loaded = sorted({name.split(".")[0] for name in sys.modules})
print(json.dumps({"value": score.value, "backend": scorer.backend.name, "loaded": loaded}))
"""
    )
    result = run(source)
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout.splitlines()[-1])
    assert 0 < found["value"] < 1
    assert not set(TRAINING) & set(found["loaded"])
    if missing:
        assert found["backend"] == "onnxruntime"


@pytest.mark.parametrize("verb", ["score", "verify", "doctor", "export"])
def test_commands_of_the_device_work_without_the_training_side(verb: str, tmp_path: Path) -> None:
    arguments = {
        "score": ["score", "edge/assets/photographs/kodak03.jpg"],
        "verify": ["verify", "--backend", "onnxruntime", "--precision", "int8"],
        "doctor": ["doctor", "--device", "onnxruntime"],
        "export": ["export", "--to", "tflite,tensorrt", "-o", str(tmp_path / "out")],
    }[verb]
    source = _BLOCK.format(names=set(TRAINING)) + "from edge_iqa.cli import main\nmain()"
    result = run(source, *arguments)
    assert result.returncode == 0, result.stderr
    assert result.stdout


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["score", "--help"], ["explain", "E504"]])
def test_the_command_line_imports_nothing_heavy(arguments: list[str]) -> None:
    source = f"""
import sys
sys.argv = ["edge-iqa", *{arguments!r}]
from edge_iqa.cli import main
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
heavy = sorted({{name.split(".")[0] for name in sys.modules}} & set({(*TRAINING, *RUNTIMES)!r}))
print("HEAVY", heavy, file=sys.stderr)
"""
    result = run(source)
    assert result.returncode == 0, result.stderr
    assert result.stderr.splitlines()[-1] == "HEAVY []"


def test_importing_the_package_imports_nothing_heavy() -> None:
    result = run(f"import sys, edge_iqa; print(sorted(set(sys.modules) & set({(*TRAINING, *RUNTIMES)!r})))")
    assert result.stdout.strip() == "[]"


def test_the_table_of_wheels_asks_for_what_pyproject_names() -> None:
    """The script itself needs a package index; what it would ask for is checked here."""
    source = """
import importlib.machinery, importlib.util
loader = importlib.machinery.SourceFileLoader("check_wheels", "scripts/check_wheels")
module = importlib.util.module_from_spec(importlib.util.spec_from_loader("check_wheels", loader))
loader.exec_module(module)
wanted = module.requirements()
assert [len(wanted[name]) for name in module.SHOWN] == [3, 1, 1, 2], wanted
assert module.platforms("aarch64", "2.31")[0] == "manylinux_2_31_aarch64"
"""
    result = run("import sys; sys.dont_write_bytecode = True\n" + source)
    assert result.returncode == 0, result.stderr
