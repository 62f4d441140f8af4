"""``edge-iqa verify``: what it says of a good bundle, and which part it blames for a bad one."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from edge_iqa import verify as verify_module
from edge_iqa.backends import onnxruntime as onnxruntime_backend
from edge_iqa.bundle import Bundle, default_bundle_path, read_bundle, write_bundle
from edge_iqa.cli import build_app
from edge_iqa.cli.verify_report import verification_document, verification_table
from edge_iqa.errors import BarMissed, BundleRefused, DeviceUnavailable, GoldenRefused, InvalidInput
from edge_iqa.golden import EXPECTED, GoldenPicture, compare_tensor, read_golden, sample_tensor
from edge_iqa.verify import choose_targets, verify

ORT = [("onnxruntime", "int8"), ("onnxruntime", "fp32")]


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return read_bundle(default_bundle_path())


def changed(bundle: Bundle, tmp_path: Path, files: Mapping[str, bytes]) -> Path:
    """Write a bundle that is whole but holds other files, as someone who can write bundles would."""
    path = tmp_path / "changed.eiqa"
    write_bundle(path, bundle.manifest, {**bundle.files, **files})
    return path


def expected_with(bundle: Bundle, change: Callable[[dict[str, Any]], None]) -> dict[str, bytes]:
    document = json.loads(bundle.files[EXPECTED])
    change(document)
    return {EXPECTED: json.dumps(document).encode()}


def other_picture(bundle: Bundle) -> dict[str, bytes]:
    pixels = cv2.imdecode(np.frombuffer(bundle.files["golden/00.png"], np.uint8), cv2.IMREAD_COLOR)
    return {"golden/00.png": cv2.imencode(".png", cv2.GaussianBlur(pixels, (0, 0), 3))[1].tobytes()}


def run(*arguments: str) -> Any:
    return CliRunner().invoke(build_app(), ["verify", *arguments])


def test_the_embedded_bundle_passes(bundle: Bundle) -> None:
    found = verify(bundle, ORT)
    assert found.passed
    assert found.fault() == ""
    assert [row.status for row in found.targets] == ["pass", "pass"]
    recommended = found.recommended()
    assert recommended is not None
    assert recommended.precision == "int8"


def test_a_resize_fault_is_told_from_a_runtime_fault(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    def stretched(image: Any, spec: Any) -> Any:
        return cv2.resize(image, (spec.width, spec.height))[None]

    monkeypatch.setattr(verify_module, "preprocess", stretched)
    found = verify(bundle, ORT[:1])
    assert not found.passed
    assert not found.tensors_pass
    assert found.fault().startswith("pre-processing:")


def test_a_runtime_fault_is_told_from_a_resize_fault(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    real = onnxruntime_backend.OnnxRuntimeBackend.infer
    monkeypatch.setattr(
        onnxruntime_backend.OnnxRuntimeBackend, "infer", lambda self, image: min(1.0, real(self, image) + 0.03)
    )
    found = verify(bundle, ORT)
    assert found.tensors_pass
    assert found.fault().startswith("runtime:")
    assert "onnxruntime int8" in found.fault()
    assert found.recommended() is None
    assert all(row.max_difference == pytest.approx(0.03, abs=1e-4) for row in found.targets)


def test_a_model_for_another_score_misses(bundle: Bundle, tmp_path: Path) -> None:
    files = expected_with(bundle, lambda document: document["pictures"][1]["scores"].update({"onnxruntime.int8": 0.1}))
    found = verify(read_bundle(changed(bundle, tmp_path, files)), ORT[:1])
    assert [row.status for row in found.targets] == ["miss"]
    assert found.targets[0].worst_picture == "golden/01.png"


def test_a_model_that_is_none_fails_with_its_code(bundle: Bundle, tmp_path: Path) -> None:
    found = verify(read_bundle(changed(bundle, tmp_path, {"model.int8.u8.onnx": b"no graph"})), ORT[:1])
    assert [row.status for row in found.targets] == ["failed"]
    assert (found.targets[0].reason or "").startswith("E500")
    assert not found.passed


def test_the_command_exits_1_on_a_miss(bundle: Bundle, tmp_path: Path) -> None:
    result = run(str(changed(bundle, tmp_path, other_picture(bundle))), "--backend", "onnxruntime")
    assert isinstance(result.exception, BarMissed)
    assert result.exception.exit_code == 1
    assert "MISS - pre-processing" in result.stdout
    assert "different" in result.stdout


def test_the_command_prints_a_table_or_json(bundle: Bundle) -> None:
    table = run("--backend", "onnxruntime", "--precision", "int8")
    assert table.exit_code == 0
    assert "PASS" in table.stdout
    document = json.loads(run("--backend", "onnxruntime", "--precision", "int8", "--json").stdout)
    assert document["schema_version"] == 1
    assert document["passed"] is True
    assert document["bundle"]["sha256"] == bundle.sha256
    assert document["recommended"] == "onnxruntime int8"
    assert [row["status"] for row in document["tensors"]] == ["same"] * len(document["tensors"])
    assert document["targets"][0]["max_difference"] <= document["targets"][0]["tolerance"]


def test_a_runtime_that_is_not_here_is_a_row_unless_it_was_named(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnxruntime_backend.OnnxRuntimeBackend, "unavailable", classmethod(lambda cls: "it is gone"))
    found = verify(bundle, [("onnxruntime", "int8"), ("tflite", "int8")])
    assert [row.status for row in found.targets] == ["absent", "pass"]
    assert found.passed
    assert "onnxruntime    int8: absent, it is gone" in verification_table(bundle, found)
    with pytest.raises(DeviceUnavailable, match="cannot be used here"):
        choose_targets(["onnxruntime"], ["all"])
    nothing = verify(bundle, [("onnxruntime", "int8")])
    assert not nothing.passed
    assert nothing.fault() == "no runtime was checked"
    assert verification_document(bundle, nothing)["recommended"] is None


@pytest.mark.parametrize(
    ("backends", "precisions", "match"),
    [
        (["abacus"], ["all"], "no backend"),
        (["onnxruntime:dla0"], ["all"], "no device"),
        (["onnxruntime"], ["int4"], "no precision"),
        (["tflite"], ["fp16"], "None of these"),
    ],
)
def test_wrong_names_are_refused(backends: list[str], precisions: list[str], match: str) -> None:
    with pytest.raises(InvalidInput, match=match):
        choose_targets(backends, precisions)


def test_a_device_that_is_named_and_absent_is_an_error(bundle: Bundle) -> None:
    with pytest.raises(DeviceUnavailable, match="CUDAExecutionProvider"):
        verify(bundle, [("onnxruntime:cuda", "int8")])


# --- the document of expectations


@pytest.mark.parametrize(
    "content",
    [
        b"{", b"[]", b'{"schema_version": 1}', b'{"schema_version": 2, "pictures": []}',
        b'{"schema_version": 1, "pictures": []}', b'{"schema_version": 1, "pictures": [], "extra": 1}', b"[" * 90_000,
    ],
)  # fmt: skip
def test_expectations_that_cannot_be_read(bundle: Bundle, content: bytes) -> None:
    with pytest.raises(GoldenRefused):
        read_golden(dataclasses.replace(bundle, files={**bundle.files, EXPECTED: content}))


def test_missing_expectations_and_pictures(bundle: Bundle) -> None:
    for name in (EXPECTED, "golden/01.png"):
        files = {key: value for key, value in bundle.files.items() if key != name}
        with pytest.raises(GoldenRefused, match=r"E508"):
            verify(dataclasses.replace(bundle, files=files), ORT[:1])


def tensor() -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.random.default_rng(0).integers(10, 240, (1, 40, 50, 3), dtype=np.uint8)


def golden(with_samples: bool = True) -> GoldenPicture:
    made = tensor()
    samples = sample_tensor(made) if with_samples else None
    return GoldenPicture("golden/00.png", "0" * 64, float(made.mean()), {}, samples)


@pytest.mark.parametrize(("levels", "status"), [(0, "close"), (1, "close"), (2, "close"), (9, "different")])
def test_samples_tell_rounding_from_another_rule(levels: int, status: str) -> None:
    other = tensor()
    other[0, ::2, 0::2] += np.uint8(levels)
    other[0, ::2, 1::2] -= np.uint8(levels)  # the mean alone would not show it
    check = compare_tensor(other, golden())
    assert (check.status, check.max_levels) == (status, levels)
    assert compare_tensor(other, golden(with_samples=False)).status == "close"


def test_samples_see_every_colour_and_another_size() -> None:
    step = sample_tensor(np.zeros((1, 288, 288, 3), np.uint8)).step
    assert {index % 3 for index in range(0, 288 * 288 * 3, step)} == {0, 1, 2}
    assert compare_tensor(tensor()[:, :20], golden()).status == "different"


# --- tampering, as a user meets it


def test_each_kind_of_tampering_is_refused_by_name(tmp_path: Path) -> None:
    """Structure is covered byte by byte in test_bundle and test_bundle_layout; this is the command's side."""
    good = default_bundle_path().read_bytes()
    path = tmp_path / "b.eiqa"
    for content, code in (
        (good[: len(good) // 2], "E503"),
        (good + b"x", "E503"),
        (b"x" + good, "E503"),
        (good.replace(b"golden/02.png", b"golden/../../"), "E505"),
    ):
        path.write_bytes(content)
        result = run(str(path))
        assert isinstance(result.exception, BundleRefused)
        assert result.exception.exit_code == 5
        assert result.exception.code == code
    shutil.copy(default_bundle_path(), path)
    assert run(str(path), "--backend", "onnxruntime", "--precision", "int8").exit_code == 0
