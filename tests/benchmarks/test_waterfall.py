"""The waterfall: order, what is compared with what, stages not run, stored stages, and the camera path."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from edge_iqa.benchmarks.camera_path import CAMERA_STEPS, STREAM_HEIGHT, STREAM_WIDTH, through_camera
from edge_iqa.benchmarks.opinion_tables import Opinion
from edge_iqa.benchmarks.pictures import collect_pictures
from edge_iqa.benchmarks.plain_graph import SIGNED, UNSIGNED, PlainGraph
from edge_iqa.benchmarks.run import BenchOutcome, BenchRequest, run_bench
from edge_iqa.benchmarks.sampling import SamplingPlan
from edge_iqa.benchmarks.stage_file import STAGE_FILE, look_up, read_stage_scores, stage_file, tensor_key
from edge_iqa.benchmarks.waterfall import SHARED_STAGES, Stage, build_waterfall, human_agreement
from edge_iqa.benchmarks.waterfall_run import match_opinions, qdq_graph, with_teacher
from edge_iqa.bundle import read_bundle, write_bundle
from edge_iqa.errors import BundleRefused, DatasetError, InvalidInput
from edge_iqa.preprocess import preprocess

PLAN = SamplingPlan("short", 12, 0.0, rounds=1, settle_samples=0, warmup_min_seconds=0.0, warmup_max_seconds=0.05)
BASE = [0.1, 0.3, 0.5, 0.7, 0.9]


def test_each_step_is_compared_with_the_one_before_and_with_the_first() -> None:
    shifted, twice = [score + 0.05 for score in BASE], [score + 0.1 for score in BASE]
    stages = [Stage("a", "A", BASE), Stage("b", "B", shifted), Stage("c", "C", twice)]
    first, second, third = build_waterfall(stages, 0.5)
    assert (first.against, first.drift) == (None, None)
    assert second.drift is not None
    assert (third.against, third.drift is not None, third.total is not None) == ("b", True, True)
    assert third.drift is not None
    assert third.total is not None
    assert third.drift.mae == pytest.approx(0.05)
    assert third.total.mae == pytest.approx(0.1)
    assert third.total.reference == "a"


def test_a_stage_that_was_not_run_is_stepped_over_and_keeps_its_reason() -> None:
    stages = [Stage("a", "A", BASE), Stage("b", "B", not_run="no torch here"), Stage("c", "C", BASE)]
    _, missing, third = build_waterfall(stages, 0.5)
    assert (missing.not_run, missing.drift, missing.scores) == ("no torch here", None, [])
    assert third.against == "a"


def test_targets_branch_from_the_stage_they_compute() -> None:
    stages = [
        Stage("q", "Q", BASE),
        Stage("t1", "T1", [0.2] * 5, after="q"),
        Stage("t2", "T2", BASE, after="q"),
    ]
    steps = build_waterfall(stages, 0.5)
    assert steps[2].against == "q"
    assert steps[2].drift is not None
    assert steps[2].drift.max_abs == 0.0


def test_human_scores_are_of_the_pictures_that_have_them() -> None:
    found = human_agreement([0.9, 0.1, 0.5, 0.3], {0: 10.0, 2: 5.0, 3: 2.0})
    assert (found.n, found.srcc) == (3, 1.0)
    assert human_agreement([0.5, 0.5], {0: 1.0, 1: 2.0}).srcc is None


def test_human_scores_of_other_pictures_are_refused(bench_pictures: Path) -> None:
    pictures = collect_pictures(bench_pictures, 10, 0).pictures
    with pytest.raises(DatasetError, match="0 are in the benchmark"):
        match_opinions([Opinion("elsewhere/a.png", 1.0)], pictures)
    matched = match_opinions([Opinion(pictures[3].name, 4.0), Opinion(pictures[1].name, 2.0)], pictures)
    assert matched == {3: 4.0, 1: 2.0}
    assert match_opinions([], pictures) == {}


def test_the_benchmark_holds_every_stage_in_order(bench_outcome: BenchOutcome) -> None:
    steps = {step.step: step for step in bench_outcome.result.waterfall}
    labels = [f"target:{row.label}" for row in bench_outcome.result.rows]
    assert list(steps) == [*SHARED_STAGES, *labels, *(f"camera:{name}" for name in CAMERA_STEPS)]
    for stage in ("teacher", "teacher_resized", "student", "fake_quant"):
        assert steps[stage].not_run == "the bundle holds no scores of this stage"
    assert len(steps["qdq"].scores) == len(bench_outcome.result.reference_scores)
    assert steps["float_onnx"].scores == bench_outcome.result.reference_scores
    assert steps["target:onnxruntime int8"].against == "qdq"
    assert "model.tflite" in (steps["target:tflite fp32"].not_run or "")
    camera = steps["camera:decode"]
    assert camera.drift is not None
    assert camera.against == "target:onnxruntime int8"
    assert camera.drift.mae > 0
    assert steps["camera:resize"].against == "camera:decode"


def test_a_graph_that_is_not_there_or_cannot_run_gives_a_reason(sharpness_bundle: Path) -> None:
    assert PlainGraph({}, SIGNED, 1).reason == "the bundle has no model.int8.onnx"
    graph = PlainGraph({UNSIGNED: read_bundle(sharpness_bundle).files[UNSIGNED]}, UNSIGNED, 1)
    graph.score(np.zeros((1, 24, 32, 3), np.uint8))
    assert graph.reason is None
    assert graph.scores == [0.0]
    assert graph.infer(np.zeros((1, 24, 32, 3), np.uint8)) == 0.0
    graph.score(np.zeros((1, 8, 8, 3), np.uint8))
    assert "cannot run" in (graph.reason or "")
    assert graph.scores == []
    with pytest.raises(BundleRefused, match="cannot run"):
        graph.infer(np.zeros((1, 24, 32, 3), np.uint8))


@pytest.mark.parametrize(
    ("backends", "graph"),
    [
        (["onnxruntime", "openvino", "openvino:gpu", "tflite", "onnxruntime:cuda"], UNSIGNED),
        (["onnxruntime", "tensorrt"], SIGNED),
        (["onnxruntime", "tensorrt:dla0"], SIGNED),
        (["onnxruntime", "onnxruntime:tensorrt"], SIGNED),
    ],
)
def test_the_shared_int8_graph_is_the_one_that_the_targets_declare(backends: list[str], graph: str) -> None:
    assert qdq_graph(backends) == graph


@pytest.fixture
def staged(sharpness_bundle: Path, bench_pictures: Path, tmp_path: Path) -> Path:
    """Return a bundle with a Q/DQ graph, and stored scores of the bench pictures: the teacher gives 0.1 more."""
    bundle = read_bundle(sharpness_bundle)
    tensors = [
        preprocess(picture.load(), bundle.manifest.preprocess)
        for picture in collect_pictures(bench_pictures, 99, 0).pictures
    ]
    plain = [0.3 + 0.02 * index for index in range(len(tensors))]
    content = stage_file([tensor_key(tensor) for tensor in tensors], {"teacher": plain, "student": plain[::-1]})
    path = tmp_path / "staged.eiqa"
    files = {**bundle.files, STAGE_FILE: content, "model.int8.onnx": bundle.files["model.onnx"]}
    write_bundle(path, bundle.manifest, files)
    return path


def test_stored_stages_travel_in_the_bundle(staged: Path, bench_pictures: Path) -> None:
    opinions = [Opinion(f"{index:02d}.png", float(-index)) for index in range(1, 12)]
    request = BenchRequest(staged, "onnxruntime", PLAN, "int8", bench_pictures, 1, threshold=0.4, opinions=opinions)
    result = run_bench(request).result
    steps = {step.step: step for step in result.waterfall}
    assert (steps["teacher"].source, steps["qdq"].source) == ("bundle", "measured")
    assert steps["student"].drift is not None
    assert steps["student"].drift.srcc == pytest.approx(-1.0)
    assert steps["float_onnx"].against == "student"
    assert steps["target:onnxruntime int8"].against == "qdq"
    assert steps["target:onnxruntime int8"].drift is not None
    assert steps["target:onnxruntime int8"].drift.max_abs == pytest.approx(0.0, abs=1e-6)
    human = steps["float_onnx"].human
    assert human is not None
    assert (human.n, human.srcc) == (11, 1.0)


def test_stored_scores_of_other_pictures_are_not_used(staged: Path) -> None:
    stored = read_stage_scores(read_bundle(staged))
    assert stored is not None
    scores, reason = look_up(stored, "teacher", [*stored.pictures[:3], "0" * 16])
    assert scores == []
    assert reason is not None
    assert "3 of these 4" in reason
    assert look_up(stored, "teacher", stored.pictures[2:4])[0] == pytest.approx([0.34, 0.36])


@pytest.mark.parametrize(
    "content", [b"{", b"[]", json.dumps({"schema_version": 1, "pictures": ["a"], "scores": {"teacher": []}}).encode()]
)
def test_a_broken_stage_file_is_refused(content: bytes, sharpness_bundle: Path) -> None:
    bundle = read_bundle(sharpness_bundle)
    broken = dataclasses.replace(bundle, files={**bundle.files, STAGE_FILE: content})
    with pytest.raises(BundleRefused, match="cannot be read"):
        read_stage_scores(broken)


def test_a_teacher_can_be_added_to_what_another_machine_measured(bench_outcome: BenchOutcome) -> None:
    result = bench_outcome.result
    scores = [1 - score for score in result.reference_scores]
    steps = with_teacher(result.waterfall, {"teacher": Stage("teacher", "T", scores)}, 0.5, None)
    assert [step.step for step in steps] == [step.step for step in result.waterfall]
    assert steps[0].scores == pytest.approx(scores)
    by_name = {step.step: step for step in steps}
    assert by_name["float_onnx"].against == "teacher"
    assert by_name["camera:decode"].against == "target:onnxruntime int8"


def test_the_camera_path_changes_colour_detail_and_size() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (960, 1280, 3), dtype=np.uint8)
    decoded = through_camera(noise, "decode")
    assert decoded.shape == noise.shape
    assert 1 < np.abs(decoded.astype(int) - noise).mean() < 80
    assert through_camera(noise, "resize").shape == (STREAM_HEIGHT, STREAM_WIDTH, 3)
    assert through_camera(noise[:100, :200], "resize").shape == (100, 200, 3)
    red = np.zeros((32, 32, 3), np.uint8)
    red[..., 0] = 200
    assert through_camera(red, "decode")[16, 16, 0] > 150
    with pytest.raises(InvalidInput, match="no camera step"):
        through_camera(noise, "lens")
