"""The post-training baseline: real methods on the shipped bundle, drift, times, and rows for what failed."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

from edge_iqa.backends.base import backend_class
from edge_iqa.benchmarks import ptq_baseline
from edge_iqa.benchmarks.int8_coverage import RUNTIMES
from edge_iqa.benchmarks.pictures import embedded_photographs
from edge_iqa.benchmarks.ptq_baseline import as_markdown, read_inputs
from edge_iqa.benchmarks.ptq_measure import Candidate, make_candidate, measure
from edge_iqa.benchmarks.ptq_methods import METHODS, PtqMethod
from edge_iqa.benchmarks.timing_in_turns import SAMPLES_PER_TURN
from edge_iqa.bundle import Bundle, default_bundle_path, read_bundle
from edge_iqa.errors import InvalidInput, MissingDependency

pytest.importorskip("onnx", reason="ONNX Runtime's quantizer needs onnx")
PACKAGES = {"onnxruntime": "onnx", "openvino": "nncf", "tflite": "ai_edge_quantizer"}


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return read_bundle(default_bundle_path())


@pytest.fixture(scope="module")
def inputs(bundle: Bundle) -> tuple[list[np.ndarray], list[np.ndarray]]:
    return read_inputs(embedded_photographs(), bundle, limit=4, calibration=3, seed=0)


def test_inputs_to_calibrate_on_are_not_measured_on(bundle: Bundle) -> None:
    calibrating, measured = read_inputs(embedded_photographs(), bundle, limit=100, calibration=3, seed=1)
    assert (len(calibrating), len(measured)) == (3, 7)
    assert not any(np.array_equal(a, b) for a in calibrating for b in measured)
    with pytest.raises(InvalidInput, match="10 usable pictures"):
        read_inputs(embedded_photographs(), bundle, limit=100, calibration=10, seed=1)


@pytest.mark.filterwarnings("default")  # the tools' own
@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_method_gives_an_int8_model_with_scores_near_the_float_ones(
    method: PtqMethod, bundle: Bundle, inputs: tuple[list[np.ndarray], list[np.ndarray]]
) -> None:
    if importlib.util.find_spec(PACKAGES[method.runtime]) is None:
        pytest.skip(f"{PACKAGES[method.runtime]} is not installed (extra ptq)")
    calibrating, measured = inputs
    made = make_candidate(method, bundle, calibrating)
    assert made.error is None, made.error
    names, count = RUNTIMES[method.runtime]
    assert set(made.files) == set(names)
    int8_layers, _, _ = count(dict(made.files))
    assert int8_layers > 20
    reference = Candidate("float student", "onnxruntime", "fp32", bundle.take(("model.onnx",), "a test"))
    measure([reference, made], measured, threads=1, rounds=1)
    assert made.error is None, made.error
    assert made.drift is not None
    assert 0 < made.drift.max_abs < 0.4
    assert made.n_timed == SAMPLES_PER_TURN
    assert made.p50_ms is not None
    assert made.p50_ms > 0


def test_what_fails_is_a_row_with_its_reason(bundle: Bundle, inputs: tuple[list[np.ndarray], list[np.ndarray]]) -> None:
    def missing(_: Bundle, __: object) -> dict[str, bytes]:
        raise MissingDependency("The package nowhere is not installed")

    def breaks(_: Bundle, __: object) -> dict[str, bytes]:
        raise RuntimeError("unsupported")

    reference = Candidate("float student", "onnxruntime", "fp32", bundle.take(("model.onnx",), "a test"))
    rows = [reference]
    rows += [make_candidate(PtqMethod(m.__name__, "onnxruntime", m), bundle, inputs[0]) for m in (missing, breaks)]
    rows.append(Candidate("broken file", "onnxruntime", "int8", {"model.int8.u8.onnx": b"no graph"}))
    measure(rows, inputs[1], threads=1, rounds=1)
    assert [row.error is None for row in rows] == [True, False, False, False]
    documents = [row.document() for row in rows]
    assert [row["error"]["code"] for row in documents[1:]] == ["E300", "E100", "E500"]
    assert documents[1]["drift"] is None
    table = as_markdown(rows)
    assert "| missing | onnxruntime | - |" in table
    assert "- breaks: breaks failed (RuntimeError: unsupported)" in table


def test_command_writes_table_and_json(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(ptq_baseline, "METHODS", ())
    output = tmp_path / "ptq.json"
    small = ["--limit", "3", "--calibration", "1", "--rounds", "1", "--threads", "1", "--json", str(output)]
    monkeypatch.setattr("sys.argv", ["ptq_baseline", "--pictures", str(embedded_photographs()), *small])
    ptq_baseline.main()
    document = json.loads(output.read_text())
    assert document["schema_version"] == 1
    assert document["pictures"] == {"folder": "photographs", "n": 3, "calibration": 1, "seed": 0}
    usable = [name for name in RUNTIMES if backend_class(name).unavailable() is None]
    assert [(row["precision"], row["runtime"]) for row in document["rows"]] == [
        (precision, runtime) for precision in ("fp32", "int8") for runtime in usable
    ]
    assert document["rows"][0]["drift"]["max_abs"] == 0
    assert capsys.readouterr().out.count("| ours |") == len(usable)
    monkeypatch.setattr("sys.argv", ["ptq_baseline", "--pictures", str(tmp_path)])
    with pytest.raises(SystemExit) as end:
        ptq_baseline.main()
    assert end.value.code == 2
