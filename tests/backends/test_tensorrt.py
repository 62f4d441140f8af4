"""The TensorRT backend without a GPU: the switches of each version, what is built, the scores."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge_iqa.backends.tensorrt import TensorRtBackend
from edge_iqa.backends.tensorrt_engine import BuildPlan, parse_version, plan_build
from edge_iqa.errors import BackendMismatch, BundleRefused, DeviceUnavailable, InvalidInput

from .tensorrt_standins import HEIGHT, WIDTH, FakeCudart, FakeTensorRt, graph, load

# --- which switches a version has


@pytest.mark.parametrize(
    ("version", "precision", "plan"),
    [
        ("8.6.2", "int8", BuildPlan(("EXPLICIT_BATCH",), ("INT8", "FP16"))),
        ("8.6.2", "fp16", BuildPlan(("EXPLICIT_BATCH",), ("FP16",))),
        ("8.6.2", "fp32", BuildPlan(("EXPLICIT_BATCH",), (), ("TF32",))),
        ("10.3.0", "int8", BuildPlan(("STRONGLY_TYPED",))),
        ("10.3.0", "fp16", BuildPlan((), ("FP16",))),
        ("10.16.1", "fp32", BuildPlan((), (), ("TF32",))),
        ("11.4.1", "int8", BuildPlan()),
        ("11.4.1", "fp16", BuildPlan()),
        ("11.4.1", "fp32", BuildPlan((), (), ("TF32",))),
    ],
)
def test_switches_by_version(version: str, precision: str, plan: BuildPlan) -> None:
    assert plan_build(parse_version(version), precision) == plan


def test_a_version_without_the_switch_is_refused() -> None:
    with pytest.raises(DeviceUnavailable, match="too old"):
        plan_build((8, 4), "int8")
    with pytest.raises(InvalidInput, match="int4"):
        plan_build((10, 3), "int4")
    with pytest.raises(InvalidInput, match="not a TensorRT version"):
        parse_version("ten")


@pytest.mark.parametrize(
    ("version", "network_flags", "flags"),
    [("8.6.2.3", 1, {0, 1}), ("10.3.0", 2, set()), ("11.4.1", 0, set())],
)
def test_the_build_uses_these_switches(
    tensorrt: FakeTensorRt, tmp_path: Path, version: str, network_flags: int, flags: set[int]
) -> None:
    tensorrt.__init__(version)  # type: ignore[misc]
    load(tmp_path / "c").close()
    (build,) = tensorrt.builds
    assert (build["network_flags"], build["flags"], build["graph"]) == (network_flags, flags, graph())
    assert build["workspace"] == 1024**3


def test_a_parser_never_sees_a_graph_that_is_too_new_for_it(tensorrt: FakeTensorRt, tmp_path: Path) -> None:
    tensorrt.OnnxParser = lambda network, logger: pytest.fail("the parser was called")
    with pytest.raises(BundleRefused, match="operator set 21") as caught:
        load(tmp_path / "c", opset=21)
    assert "up to 20" in caught.value.why


def test_refusals_carry_tensorrts_words(tensorrt: FakeTensorRt, tmp_path: Path) -> None:
    tensorrt.parse_error = "Non-zero zero point is not supported"
    with pytest.raises(BundleRefused, match="Non-zero zero point"):
        load(tmp_path / "c")
    tensorrt.parse_error, tensorrt.builds_nothing = "", True
    with pytest.raises(BundleRefused, match="Conv_3"):
        load(tmp_path / "c")
    assert not (tmp_path / "c").exists()


# --- scoring


def test_scores_and_gives_everything_back(tensorrt: FakeTensorRt, cudart: FakeCudart, tmp_path: Path) -> None:
    backend = load(tmp_path / "c")
    for level in (0, 51, 255):
        image = np.full((1, HEIGHT, WIDTH, 3), level, np.uint8)
        assert backend.infer(image) == pytest.approx(level / 255)
    strided = np.full((1, HEIGHT, 2 * WIDTH, 3), 102, np.uint8)[:, :, ::2]
    assert backend.infer(strided) == pytest.approx(0.4)
    with pytest.raises(InvalidInput, match="uint8"):
        backend.infer(np.zeros((1, WIDTH, HEIGHT, 3), np.uint8))
    assert cudart.open
    backend.close()
    backend.close()
    assert not cudart.open
    with pytest.raises(DeviceUnavailable, match="closed"):
        backend.infer(image)


@pytest.mark.parametrize("score", [float("nan"), 1.5])
def test_a_score_outside_the_contract_is_refused(tensorrt: FakeTensorRt, tmp_path: Path, score: float) -> None:
    tensorrt.score = score
    with pytest.raises(BackendMismatch, match="tensorrt"):
        load(tmp_path / "c").infer(np.zeros((1, HEIGHT, WIDTH, 3), np.uint8))


def test_a_graph_with_another_contract_is_refused(tensorrt: FakeTensorRt, cudart: FakeCudart, tmp_path: Path) -> None:
    tensorrt.output_shape = (1, 2)
    with pytest.raises(BundleRefused, match="not a quality model"):
        load(tmp_path / "c")
    assert not cudart.open


def test_the_precision_must_go_with_the_file(tensorrt: FakeTensorRt, tmp_path: Path) -> None:
    assert TensorRtBackend({"model.onnx": graph()}, cache_folder=tmp_path / "c").precision == "fp32"
    assert TensorRtBackend({"model.int8.onnx": graph()}, cache_folder=tmp_path / "c").precision == "int8"
    with pytest.raises(InvalidInput, match="does not go with"):
        TensorRtBackend({"model.onnx": graph()}, precision="int8", cache_folder=tmp_path / "c")
