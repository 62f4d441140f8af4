"""Plain export: the files are the bundle's own, and the README's statements are run."""

from __future__ import annotations

import builtins
import hashlib
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_iqa.bundle import Bundle, default_bundle_path, read_bundle, write_bundle
from edge_iqa.cli import export_command
from edge_iqa.decode import read_image
from edge_iqa.errors import BundleRefused, InvalidInput
from edge_iqa.export import plain_cpp
from edge_iqa.export.plain import TARGET_FILES, export_plain, parse_targets
from edge_iqa.preprocess import preprocess
from edge_iqa.scorer import load

ALL = tuple(TARGET_FILES)
CPP_SOURCES = sorted((Path(plain_cpp.__file__).parent / "cpp").iterdir())
TENSORRT_VARIANTS = (
    "model.fp16.onnx",
    "model.int8.fused-add.onnx",
    "model.int8.opset17.onnx",
    "model.opset17.onnx",
)


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return read_bundle(default_bundle_path())


@pytest.fixture(scope="module")
def exported(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plain") / "out"
    export_plain(bundle, ALL, folder)
    return folder


@pytest.fixture
def picture(bundle: Bundle, tmp_path: Path) -> NDArray[np.uint8]:
    path = tmp_path / "golden.png"
    path.write_bytes(bundle.files["golden/00.png"])
    return read_image(path)


def code_blocks(folder: Path, heading: str) -> list[str]:
    """Return the code blocks of a section of the README."""
    section = re.split(r"^## ", (folder / "README.md").read_text(), flags=re.MULTILINE)
    (text,) = (part for part in section if part.startswith(f"{heading}\n"))
    return re.findall(r"```(?:python)?\n(.*?)```", text, flags=re.DOTALL)


def run_block(folder: Path, heading: str, **names: Any) -> dict[str, Any]:
    (block,) = code_blocks(folder, heading)
    exec(compile(block, heading, "exec"), names)
    return names


def test_the_files_are_those_of_the_bundle(bundle: Bundle, exported: Path) -> None:
    found = sorted(str(path.relative_to(exported)) for path in exported.rglob("*") if path.is_file())
    models = [f"{target}/{Path(name).name}" for target, names in TARGET_FILES.items() for name in names]
    made = [f"tensorrt/{name}" for name in TENSORRT_VARIANTS]
    cpp = [f"cpp/{path.name}" for path in CPP_SOURCES]
    assert found == sorted(["README.md", "preprocess.json", *models, *made, *cpp])
    for target, names in TARGET_FILES.items():
        for name in names:
            assert (exported / target / Path(name).name).read_bytes() == bundle.files[name]


def test_the_readme_lists_every_file_with_its_hash(exported: Path) -> None:
    text = (exported / "README.md").read_text()
    for path in exported.rglob("*.*"):
        if path.name != "README.md":
            name = path.relative_to(exported).as_posix()
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            assert re.search(rf"\| {re.escape(name)} \| .+ \| {path.stat().st_size} \| {digest} \|", text)


@pytest.mark.parametrize(
    "size", [(288, 288), (512, 600), (383, 1000), (1000, 700), (7, 5), (1, 3000), (3000, 1), (769, 770)]
)
def test_the_readmes_resize_rule_is_ours(bundle: Bundle, exported: Path, size: tuple[int, int]) -> None:
    image = np.random.default_rng(size[0]).integers(0, 256, (*size, 3), dtype=np.uint8)
    stated = run_block(exported, "Input")["preprocess"](image)
    ours = preprocess(image, bundle.manifest.preprocess)
    assert stated.dtype == np.uint8
    assert np.array_equal(stated, ours)


@pytest.mark.parametrize(
    ("target", "module", "backend"),
    [
        ("onnx", "onnxruntime", "onnxruntime"),
        ("openvino", "openvino", "openvino"),
        ("tflite", "ai_edge_litert", "tflite"),
    ],
)
def test_the_readmes_loading_code_gives_our_score(
    exported: Path,
    picture: NDArray[np.uint8],
    monkeypatch: pytest.MonkeyPatch,
    target: str,
    module: str,
    backend: str,
) -> None:
    pytest.importorskip(module)
    monkeypatch.chdir(exported)
    stated = run_block(exported, "Input")["preprocess"]
    score = run_block(exported, target, preprocess=stated, image=picture)["score"]
    with load(backend=backend) as scorer:
        assert score == pytest.approx(scorer(picture).value, abs=1e-4)


def test_the_readme_has_a_trtexec_line_per_version_that_can_read_the_graph(exported: Path) -> None:
    older, ten, eleven = code_blocks(exported, "tensorrt")
    assert "--onnx=tensorrt/model.int8.opset17.onnx" in older
    assert "--int8 --fp16" in older
    assert "--onnx=tensorrt/model.int8.onnx" in ten
    assert "--stronglyTyped" in ten
    assert "--onnx=tensorrt/model.fp16.onnx" in eleven
    assert not {"--int8", "--fp16", "--stronglyTyped"} & set(eleven.split())


def test_only_the_named_targets_are_written(bundle: Bundle, tmp_path: Path) -> None:
    written = export_plain(bundle, ["tflite"], tmp_path / "out")
    assert [str(path.relative_to(tmp_path)) for path in written] == [
        "out/README.md",
        "out/preprocess.json",
        "out/tflite/model.int8.tflite",
        "out/tflite/model.tflite",
    ]
    assert "## onnx" not in (tmp_path / "out" / "README.md").read_text()


def test_targets_are_checked() -> None:
    assert parse_targets(" tflite, onnx,tflite") == ("tflite", "onnx")
    for text in ("coreml", "onnx,coreml", "", ","):
        with pytest.raises(InvalidInput, match="target"):
            parse_targets(text)


def test_a_folder_in_use_is_left_alone(bundle: Bundle, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    (folder / "onnx").mkdir(parents=True)
    mine, theirs = folder / "README.md", folder / "onnx" / "notes.txt"
    mine.write_text("mine")
    theirs.write_text("theirs")
    with pytest.raises(InvalidInput, match="not empty"):
        export_plain(bundle, ["onnx"], folder)
    assert sorted(path.name for path in folder.rglob("*")) == ["README.md", "notes.txt", "onnx"]
    assert mine.read_text() == "mine"
    export_plain(bundle, ["onnx"], folder, force=True)
    assert mine.read_text() != "mine"
    assert theirs.read_text() == "theirs"
    assert not list(folder.rglob("*.part"))


def test_an_empty_folder_is_fine_and_a_file_is_not(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert export_plain(bundle, ["onnx"], tmp_path / "empty")
    blocker = tmp_path / "file"
    blocker.write_text("")
    with pytest.raises(InvalidInput, match="not a folder"):
        export_plain(bundle, ["onnx"], blocker)
    with pytest.raises(InvalidInput, match="cannot be written"):
        export_plain(bundle, ["onnx"], blocker / "below")


def test_a_bundle_without_the_file_writes_nothing(bundle: Bundle, tmp_path: Path) -> None:
    smaller = tmp_path / "small.eiqa"
    names = TARGET_FILES["onnx"]
    write_bundle(smaller, bundle.manifest, {name: bundle.files[name] for name in names})
    with pytest.raises(BundleRefused, match=r"model\.tflite"):
        export_plain(read_bundle(smaller), ["onnx", "tflite"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_command_prints_the_files_and_needs_no_onnx(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = builtins.__import__

    def without_heavy(name: str, *rest: Any, **named: Any) -> Any:
        if name.split(".")[0] in {"onnx", "torch", "openvino", "tensorrt", "flatbuffers"}:
            raise ImportError(name)
        return real(name, *rest, **named)

    for name in [name for name in sys.modules if name.split(".")[0] == "onnx"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(builtins, "__import__", without_heavy)
    export_command.command(tmp_path / "out", to=",".join(ALL))
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 + len(CPP_SOURCES) + sum(len(names) for names in TARGET_FILES.values())
    assert "Export again where the package onnx is installed" in (tmp_path / "out" / "README.md").read_text()
    assert all(Path(line).is_file() for line in lines)
