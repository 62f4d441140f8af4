"""The C++ examples: the header's tensor is ours, and the OpenVINO one, built by CMake, gives the golden scores.

OpenVINO's wheel carries headers, libraries and CMake files, so that example is built and run for real. TensorRT's
and ONNX Runtime's wheels carry none: their examples are compiled against stand-ins of the interface they use.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_iqa.bundle import Bundle, default_bundle_path, read_bundle
from edge_iqa.export.plain import export_plain
from edge_iqa.export.plain_cpp import preprocess_document
from edge_iqa.golden import golden_image, read_golden
from edge_iqa.preprocess import PreprocessSpec, input_spec, preprocess

CPP = Path(__file__).parents[2] / "edge" / "export" / "cpp"
STANDINS = Path(__file__).parent / "standins"
WARNINGS = (
    "-std=c++17",
    "-Wall",
    "-Wextra",
    "-Wconversion",
    "-Wno-sign-conversion",
    "-Wno-float-conversion",
    "-Werror",
)
DUMP = """
#include "edge_iqa_preprocess.hpp"
#include <cstdio>
int main(int, char** words) {
    try {
        const auto spec = edge_iqa::read_spec(words[1]);
        const auto tensor = edge_iqa::preprocess(edge_iqa::read_ppm(words[2]), spec);
        std::fwrite(tensor.data(), 1, tensor.size(), stdout);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "%s\\n", error.what());
        return 1;
    }
}
"""

needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="there is no g++")


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return read_bundle(default_bundle_path())


def write_ppm(path: Path, image: NDArray[np.uint8], comment: bytes = b"") -> Path:
    height, width = image.shape[:2]
    path.write_bytes(b"P6\n" + comment + b"%d %d\n255\n" % (width, height) + image.tobytes())
    return path


@pytest.fixture(scope="module")
def dump(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a program that writes the tensor of a picture."""
    folder = tmp_path_factory.mktemp("cpp")
    (folder / "dump.cpp").write_text(DUMP)
    words = ["g++", "-O2", *WARNINGS, f"-I{CPP}", str(folder / "dump.cpp"), "-o", str(folder / "dump")]
    subprocess.run(words, check=True, timeout=900)
    return folder / "dump"


def with_rule(bundle: Bundle, rule: PreprocessSpec) -> Bundle:
    return dataclasses.replace(bundle, manifest=dataclasses.replace(bundle.manifest, preprocess=rule))


@needs_compiler
@pytest.mark.parametrize("rule", [input_spec(288, 288, 512), input_spec(384, 384), input_spec(384, 512)])
def test_the_tensor_in_cpp_is_ours(bundle: Bundle, dump: Path, tmp_path: Path, rule: PreprocessSpec) -> None:
    spec = tmp_path / "preprocess.json"
    spec.write_bytes(preprocess_document(with_rule(bundle, rule)))
    sizes = [
        (288, 288),
        (512, 600),
        (1024, 1100),
        (384, 384),
        (768, 768),
        (1152, 800),
        (383, 1000),
        (7, 5),
        (1, 3000),
        (1080, 1920),
        (769, 770),
        (200, 300),
    ]
    for size in sizes:
        image = np.random.default_rng(size[0]).integers(0, 256, (*size, 3), dtype=np.uint8)
        picture = write_ppm(tmp_path / "p.ppm", image, b"# a comment\n")
        result = subprocess.run([dump, spec, picture], capture_output=True, check=True, timeout=300)
        ours = preprocess(image, rule).reshape(-1)
        theirs = np.frombuffer(result.stdout, np.uint8)
        assert theirs.shape == ours.shape
        assert np.abs(theirs.astype(int) - ours).max() <= 1, size


@needs_compiler
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "not a binary PPM"),
        (b"P5\n2 2\n255\n" + bytes(12), "not a binary PPM"),
        (b"P6\n2 2\n255\n" + bytes(11), "cut short"),
        (b"P6\n2 2\n65535\n" + bytes(24), "255 levels"),
        (b"P6\n0 2\n255\n", "1 to 65535"),
        (b"P6\n99999999999999999999 2\n255\n", "1 to 65535"),
        (b"P6\n#", "not a binary PPM"),
        (b"P6\n2 x", "not a binary PPM"),
        (b"P6\n2 2\n255", "cut short"),
    ],
)
def test_pictures_that_are_none_are_refused(
    bundle: Bundle, dump: Path, tmp_path: Path, content: bytes, words: str
) -> None:
    spec, picture = tmp_path / "preprocess.json", tmp_path / "p.ppm"
    spec.write_bytes(preprocess_document(bundle))
    picture.write_bytes(content)
    result = subprocess.run([dump, spec, picture], capture_output=True, text=True, check=False, timeout=300)
    assert result.returncode == 1
    assert words in result.stderr


@needs_compiler
@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (b"shrink-crop", b"stretch", "resize"),
        (b'"schema_version": 1', b'"schema_version": 2', "schema_version"),
        (b'"height"', b'"tall"', "has no height"),
    ],
)
def test_a_rule_that_is_not_known_is_refused(
    bundle: Bundle, dump: Path, tmp_path: Path, old: bytes, new: bytes, words: str
) -> None:
    spec = tmp_path / "preprocess.json"
    spec.write_bytes(preprocess_document(bundle).replace(old, new))
    picture = write_ppm(tmp_path / "p.ppm", np.zeros((4, 4, 3), np.uint8))
    result = subprocess.run([dump, spec, picture], capture_output=True, text=True, check=False, timeout=300)
    assert result.returncode == 1
    assert words in result.stderr


@needs_compiler
@pytest.mark.parametrize("name", ["score_tensorrt.cpp", "score_onnxruntime.cpp"])
def test_the_other_examples_compile_against_stand_ins(name: str) -> None:
    words = ["g++", "-fsyntax-only", *WARNINGS, f"-I{CPP}", f"-I{STANDINS}", str(CPP / name)]
    subprocess.run(words, check=True, timeout=900)


@needs_compiler
@pytest.mark.skipif(shutil.which("cmake") is None, reason="there is no cmake")
def test_the_openvino_example_gives_the_golden_scores(bundle: Bundle, tmp_path: Path) -> None:
    found = importlib.util.find_spec("openvino")
    if found is None or found.origin is None:
        pytest.skip("openvino is not installed")
    export_plain(bundle, ["openvino"], tmp_path / "out")
    build = tmp_path / "build"
    openvino = Path(found.origin).parent / "cmake"
    configure = ["cmake", "-S", str(tmp_path / "out" / "cpp"), "-B", str(build), f"-DOpenVINO_DIR={openvino}"]
    subprocess.run(configure, check=True, timeout=300, capture_output=True)
    subprocess.run(["cmake", "--build", str(build)], check=True, timeout=600, capture_output=True)
    golden = read_golden(bundle).pictures
    pictures = [write_ppm(tmp_path / f"{index}.ppm", golden_image(bundle, entry)) for index, entry in enumerate(golden)]
    words = [build / "score_openvino", tmp_path / "out/openvino/model.xml", tmp_path / "out/preprocess.json", *pictures]
    result = subprocess.run(words, check=True, timeout=300, capture_output=True, text=True)
    scores = [float(line.split("\t")[0]) for line in result.stdout.splitlines()]
    expected = [entry.scores["openvino.int8"] for entry in golden]
    assert scores == pytest.approx(expected, abs=bundle.manifest.golden_tolerance)
    assert len(set(scores)) == len(scores) == len(golden)
