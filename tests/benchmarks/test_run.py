"""A benchmark from end to end, on a tiny model: rows, drift, broken bundles, missing runtimes, exit codes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge_iqa.benchmarks.run import BenchOutcome, BenchRequest, run_bench
from edge_iqa.benchmarks.sampling import SamplingPlan
from edge_iqa.benchmarks.verdict import Bars
from edge_iqa.bundle import read_bundle, write_bundle
from edge_iqa.errors import BarMissed, BundleRefused, DeviceUnavailable, EdgeIqaError, InvalidInput

WriteBundle = Callable[[Callable[[bytes], bytes]], Path]
SHORT_PLAN = SamplingPlan(
    "short",
    min_samples=20,
    min_seconds=0.0,
    rounds=2,
    settle_samples=0,
    warmup_min_seconds=0.0,
    warmup_max_seconds=0.05,
    timing_pictures=2,
)


def bench(bundle: Path, pictures: Path, device: str = "onnxruntime", **options: Any) -> BenchOutcome:
    options = {"plan": SHORT_PLAN, "threads": 1, **options}
    return run_bench(BenchRequest(bundle, device, images=pictures, **options))


@pytest.fixture
def with_int8_graph(sharpness_bundle: Path, tmp_path: Path) -> WriteBundle:
    """Return a function that writes the sharpness bundle with another int8 graph for ONNX Runtime."""

    def write(change: Callable[[bytes], bytes]) -> Path:
        bundle = read_bundle(sharpness_bundle)
        files = {**bundle.files, "model.int8.u8.onnx": change(bundle.files["model.int8.u8.onnx"])}
        path = tmp_path / "changed.eiqa"
        write_bundle(path, bundle.manifest, files)
        return path

    return write


def reversed_scores(graph: bytes) -> bytes:
    """Return the graph with 1 - score for the score."""
    import onnx

    model = onnx.load_from_string(graph)
    model.graph.node[-1].output[0] = "raw"
    model.graph.node.append(onnx.helper.make_node("Sub", ["top", "raw"], ["score"]))
    return bytes(model.SerializeToString())


def beyond_one(graph: bytes) -> bytes:
    """Return the graph with 1 + score for the score."""
    import onnx

    model = onnx.load_from_string(graph)
    model.graph.node[-1].output[0] = "raw"
    model.graph.node.append(onnx.helper.make_node("Add", ["top", "raw"], ["score"]))
    return bytes(model.SerializeToString())


def foreign(graph: bytes) -> bytes:
    """Return a graph of another maker: a score in [0, 1], but of a float picture in another layout."""
    from onnx import TensorProto, helper

    nodes = [helper.make_node("ReduceMean", ["image"], ["mean"], keepdims=0)]
    picture = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 24, 32])
    score = helper.make_tensor_value_info("mean", TensorProto.FLOAT, [])
    model = helper.make_model(
        helper.make_graph(nodes, "foreign", [picture], [score]),
        opset_imports=[helper.make_opsetid("", 18)],
        ir_version=9,
    )
    return bytes(model.SerializeToString())


NOT_ABOUT_SCORES = {"VALID", "UNSTABLE", "THROTTLED"}


def test_rows_of_all_cpu_runtimes(bench_outcome: BenchOutcome) -> None:
    rows = {row.label: row for row in bench_outcome.result.rows}
    runtimes = ("onnxruntime", "openvino", "tflite")
    assert list(rows) == [f"{runtime} {kind}" for runtime in runtimes for kind in ("fp32", "int8")]
    measured = rows["onnxruntime int8"]
    assert measured.latency_ms.n == len(measured.samples_ms) == len(measured.infer_samples_ms) >= 66
    assert measured.latency_ms.p90 is not None
    assert measured.latency_ms.p99 is None
    assert measured.stages_ms is not None
    assert measured.stages_ms.end_to_end > measured.stages_ms.decode > 0
    assert measured.cold_ms is not None
    assert measured.cold_ms.load > 0
    assert measured.size_bytes
    assert measured.runtime_version
    assert measured.affinity
    assert measured.warmup is not None
    assert measured.device_state.samples >= 1
    assert (measured.throughput, measured.sustained) == (None, None)


def test_the_same_model_drifts_nowhere(bench_outcome: BenchOutcome) -> None:
    row = next(row for row in bench_outcome.result.rows if row.label == "onnxruntime int8")
    assert row.drift is not None
    assert (row.drift.n, row.drift.srcc, row.drift.max_abs, row.drift.flips) == (12, 1.0, 0.0, 0)
    assert row.drift.reference == "onnxruntime fp32"
    assert row.scores == bench_outcome.result.reference_scores
    assert row.verdict in NOT_ABOUT_SCORES


def test_a_target_without_a_file_is_a_row_and_no_failure(bench_outcome: BenchOutcome) -> None:
    row = bench_outcome.result.rows[-1]
    assert (row.verdict, row.latency_ms.n, row.drift) == ("INCOMPATIBLE", 0, None)
    assert row.error is not None
    assert row.error.code == "E500"
    assert "model.int8.tflite" in row.reasons[0]
    assert bench_outcome.missed == []
    bench_outcome.raise_problems()


def test_the_same_named_alone_is_a_failure(sharpness_bundle: Path, bench_pictures: Path) -> None:
    pytest.importorskip("ai_edge_litert")
    with pytest.raises(BundleRefused, match=r"model\.tflite"):
        bench(sharpness_bundle, bench_pictures, "tflite").raise_problems()


def test_a_model_that_scores_otherwise_is_drift(with_int8_graph: WriteBundle, bench_pictures: Path) -> None:
    outcome = bench(with_int8_graph(reversed_scores), bench_pictures, threshold=0.5)
    reference, broken = outcome.result.rows
    assert reference.verdict in NOT_ABOUT_SCORES
    assert broken.verdict == "DRIFT"
    assert broken.drift is not None
    assert broken.drift.srcc == pytest.approx(-1.0)
    assert broken.drift.flips == 12
    with pytest.raises(BarMissed, match="missed") as caught:
        outcome.raise_problems()
    assert "onnxruntime int8" in caught.value.why
    assert "onnxruntime fp32" not in caught.value.why


@pytest.mark.parametrize(
    ("change", "status"),
    [(lambda graph: b"ftrt\x00\x01 an engine", 5), (beyond_one, 5), (foreign, 5)],
    ids=["engine of another runtime", "beyond one", "foreign graph"],
)
def test_a_model_that_cannot_score_is_incompatible(
    change: Callable[[bytes], bytes], status: int, with_int8_graph: WriteBundle, bench_pictures: Path
) -> None:
    outcome = bench(with_int8_graph(change), bench_pictures, "cpu")
    rows = {row.label: row for row in outcome.result.rows}
    assert rows["onnxruntime int8"].verdict == "INCOMPATIBLE"
    assert rows["onnxruntime fp32"].latency_ms.n >= 20
    with pytest.raises(EdgeIqaError, match=r"cannot load|returned|not one for") as caught:
        outcome.raise_problems()
    assert caught.value.exit_code == status


def test_too_few_samples(sharpness_bundle: Path, bench_pictures: Path) -> None:
    plan = dataclasses.replace(SHORT_PLAN, min_samples=100_000_000, max_seconds=0.05)
    (row,) = bench(sharpness_bundle, bench_pictures, plan=plan, precision="int8").result.rows
    assert row.verdict == "TOO_FEW_SAMPLES"
    assert "100000000" in row.reasons[0]


def test_twenty_samples_have_no_p90(sharpness_bundle: Path, bench_pictures: Path) -> None:
    outcome = bench(sharpness_bundle, bench_pictures, precision="int8", bars=Bars(max_p90_ms=1e9))
    (row,) = outcome.result.rows
    assert row.latency_ms.n == 20
    assert row.latency_ms.p50 is not None
    assert row.latency_ms.p90 is None
    with pytest.raises(BarMissed, match="missed") as caught:
        outcome.raise_problems()
    assert "too few" in caught.value.why


def test_the_reference_is_scored_even_if_it_is_not_a_target(sharpness_bundle: Path, bench_pictures: Path) -> None:
    pytest.importorskip("openvino")
    outcome = bench(sharpness_bundle, bench_pictures, "openvino", precision="fp32")
    (row,) = outcome.result.rows
    assert row.drift is not None
    assert row.drift.reference == "onnxruntime fp32"
    assert len(outcome.result.reference_scores) == 12


def test_threshold_and_bars(sharpness_bundle: Path, bench_pictures: Path) -> None:
    bars = Bars(max_p90_ms=1e-6, max_flips=0)
    plan = dataclasses.replace(SHORT_PLAN, min_samples=64)
    outcome = bench(sharpness_bundle, bench_pictures, precision="int8", threshold=0.123, plan=plan, bars=bars)
    (row,) = outcome.result.rows
    assert row.drift is not None
    assert row.drift.threshold == 0.123
    assert len(outcome.missed) == 1
    assert "p90" in outcome.missed[0]


def test_a_runtime_that_is_missing(
    sharpness_bundle: Path, bench_pictures: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # The worker processes see the same empty stand-in, which cannot be imported.
    (tmp_path / "openvino.py").write_text("raise ImportError('not here')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    outcome = bench(sharpness_bundle, bench_pictures, "cpu", precision="fp32")
    rows = {row.label: row for row in outcome.result.rows}
    assert rows["openvino fp32"].verdict == "INCOMPATIBLE"
    assert rows["openvino fp32"].error is not None
    assert rows["openvino fp32"].error.code == "E301"
    assert "pip install" in rows["openvino fp32"].reasons[0]
    outcome.raise_problems()


def test_a_runtime_that_is_missing_and_named(sharpness_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_iqa.backends.openvino.OpenVinoBackend.unavailable", lambda: "not here; pip install it")
    with pytest.raises(DeviceUnavailable, match="openvino"):
        bench(sharpness_bundle, sharpness_bundle.parent, "openvino")


@pytest.mark.parametrize("device", ["jetson", "jetson:dla0"])
def test_a_jetson_is_only_measured_on_a_jetson(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_iqa.benchmarks.targets.is_jetson", lambda: False)
    with pytest.raises(DeviceUnavailable) as caught:
        run_bench(BenchRequest(None, device, SHORT_PLAN))
    assert caught.value.exit_code == 4
    assert "JetPack" in caught.value.fix
    assert f"--device {device}" in caught.value.fix


@pytest.mark.parametrize(("device", "precision"), [("toaster", "all"), ("cpu", "int3")])
def test_unknown_names_are_refused(device: str, precision: str) -> None:
    with pytest.raises(InvalidInput, match=r"no (device|precision)"):
        run_bench(BenchRequest(None, device, SHORT_PLAN, precision=precision))


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["--device", "toaster"], 2, "E100"),
        (["--mode", "thorough"], 2, "E100"),
        (["--json", "/no/such/folder/a.json"], 2, "cannot be written"),
        (["none.eiqa", "--device", "onnxruntime"], 2, "no bundle"),
    ],
)
def test_wrong_use_ends_at_once(command_line: Callable[..., Any], arguments: list[str], status: int, said: str) -> None:
    done = command_line("bench", *arguments)
    assert done.returncode == status
    assert said in done.stderr
    assert done.stdout == ""


def test_the_command_writes_its_files_before_it_tells_of_a_missed_bar(
    command_line: Callable[..., Any], sharpness_bundle: Path, bench_pictures: Path, tmp_path: Path
) -> None:
    names = {kind: tmp_path / f"a.{kind}" for kind in ("json", "csv", "html")}
    options = [word for kind, path in names.items() for word in (f"--{kind}", str(path))]
    options += ["--device", "onnxruntime", "--precision", "int8", "--threads", "1", "--mode", "rapid"]
    options += ["--images", str(bench_pictures), "--max-p90-ms", "0.000001"]
    done = command_line("bench", sharpness_bundle, *options, timeout=120)
    assert done.returncode == 1
    assert "E600" in done.stderr
    assert "p90" in done.stderr
    assert len(done.stdout.splitlines()) == 2
    assert all(path.stat().st_size > 500 for path in names.values())
