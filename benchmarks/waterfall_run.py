"""Measure the stages of the waterfall that a benchmark's own targets do not give, and put all in their order."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge_iqa.backends.base import backend_class, needed_files, split_backend
from edge_iqa.benchmarks.camera_path import CAMERA_STEPS
from edge_iqa.benchmarks.opinion_tables import Opinion
from edge_iqa.benchmarks.pictures import BenchPicture
from edge_iqa.benchmarks.plain_graph import SIGNED, UNSIGNED, PlainGraph
from edge_iqa.benchmarks.results import Row
from edge_iqa.benchmarks.stage_file import STORED_STAGES, look_up, read_stage_scores, tensor_key
from edge_iqa.benchmarks.target_process import TargetProcess
from edge_iqa.benchmarks.teacher_scores import teacher_scorer
from edge_iqa.benchmarks.waterfall import (
    FLOAT_ONNX,
    QDQ,
    SHARED_STAGES,
    TEACHER,
    TEACHER_RESIZED,
    Stage,
    WaterfallStep,
    build_waterfall,
)
from edge_iqa.bundle import Bundle
from edge_iqa.errors import DatasetError, EdgeIqaError
from edge_iqa.preprocess import PreprocessSpec, preprocess
from edge_iqa.progress import track

_PORTION = 8
_LOAD_SECONDS = 3600.0


@dataclass(frozen=True)
class WaterfallRequest:
    """What the waterfall is made of besides the bundle.

    ``backends`` are by the row's label, as ``edge_iqa.load`` takes them; ``threshold`` None means the median
    reference score; ``opinions`` are human scores by the picture's position.
    """

    pictures: Sequence[BenchPicture]
    threads: int
    backends: Mapping[str, str]
    threshold: float | None = None
    teacher: Path | None = None
    opinions: Mapping[int, float] | None = None


def measure_waterfall(
    request: WaterfallRequest, bundle: Bundle, reference_scores: Sequence[float], rows: Sequence[Row]
) -> list[WaterfallStep]:
    """Score what is missing and return the steps; ``rows`` are the benchmark's, with a score per picture each.

    ``reference_scores`` ``(N,)`` are those of the float model on ONNX Runtime; where it could not score, there
    are no steps. Raises MissingDependency where a teacher was named and torch is not installed.
    """
    if not reference_scores:
        return []
    threshold = float(np.median(reference_scores)) if request.threshold is None else request.threshold
    shared = _shared_stages(request, bundle)
    shared[FLOAT_ONNX] = Stage(FLOAT_ONNX, SHARED_STAGES[FLOAT_ONNX], reference_scores)
    stages = [shared[step] for step in SHARED_STAGES]
    stages += _target_stages(rows, shared)
    stages += _camera_stages(request, bundle, rows)
    return build_waterfall(stages, threshold, request.opinions)


def match_opinions(opinions: Sequence[Opinion], pictures: Sequence[BenchPicture]) -> dict[int, float]:
    """Return human scores by the picture's position; files are matched by their name below the folder.

    Raises DatasetError where there are opinions, but fewer than two of pictures in the benchmark.
    """
    by_file = {opinion.file: opinion.opinion for opinion in opinions}
    found = {index: by_file[picture.name] for index, picture in enumerate(pictures) if picture.name in by_file}
    if opinions and len(found) < 2:
        raise DatasetError(
            f"Of the pictures with human scores, {len(found)} are in the benchmark",
            why=f"the table names for instance {opinions[0].file!r}, the benchmark has {pictures[0].name!r}",
            fix="give --images the folder that the table's file names are relative to",
        )
    return found


def teacher_stages(teacher: Path, pictures: Sequence[BenchPicture], spec: PreprocessSpec) -> dict[str, Stage]:
    """Score pictures with a teacher's file in PyTorch, at full resolution and on the student's input."""
    score = teacher_scorer(teacher)
    full: list[float] = []
    resized: list[float] = []
    for picture in track(pictures, "teacher"):
        pixels = picture.load()
        full.append(score(pixels))
        resized.append(score(preprocess(pixels, spec)[0]))
    return {
        TEACHER: Stage(TEACHER, SHARED_STAGES[TEACHER], full),
        TEACHER_RESIZED: Stage(TEACHER_RESIZED, SHARED_STAGES[TEACHER_RESIZED], resized),
    }


def with_teacher(
    steps: Sequence[WaterfallStep],
    teacher: Mapping[str, Stage],
    threshold: float,
    opinions: Mapping[int, float] | None,
) -> list[WaterfallStep]:
    """Return a waterfall that another machine measured, with teacher stages that were measured here."""
    stages = [teacher.get(step.step, _stage_of(step)) for step in steps]
    return build_waterfall(stages, threshold, opinions)


def _stage_of(step: WaterfallStep) -> Stage:
    after = None if step.step in SHARED_STAGES else step.against
    return Stage(step.step, step.title, step.scores, step.source or "measured", step.not_run, after)


def qdq_graph(backends: Iterable[str]) -> str:
    """Return the int8 graph that targets share: TensorRT's where one of ``backends`` takes it, else the CPU runtimes'.

    ``backends`` are as ``edge_iqa.load`` takes them.
    """
    targets = map(split_backend, backends)
    needed = [needed_files(backend_class(runtime), "int8", device) for runtime, device in targets]
    return SIGNED if any(SIGNED in files for files in needed) else UNSIGNED


def _shared_stages(request: WaterfallRequest, bundle: Bundle) -> dict[str, Stage]:
    spec = bundle.manifest.preprocess
    with closing(PlainGraph(bundle.files, qdq_graph(request.backends.values()), request.threads)) as graph:
        keys = []
        for picture in track(request.pictures, "waterfall"):
            tensor = preprocess(picture.load(), spec)
            keys.append(tensor_key(tensor))
            graph.score(tensor)
        scores, reason = graph.scores, graph.reason
    qdq = Stage(QDQ, SHARED_STAGES[QDQ], scores) if reason is None else _not_run(QDQ, reason)
    stages = {QDQ: qdq}
    stored = read_stage_scores(bundle)
    for step in STORED_STAGES:
        scores, reason = look_up(stored, step, keys)
        stages[step] = Stage(step, SHARED_STAGES[step], scores, "bundle") if reason is None else _not_run(step, reason)
    if request.teacher is not None:
        stages |= teacher_stages(request.teacher, request.pictures, spec)
    return stages


def _target_stages(rows: Sequence[Row], shared: Mapping[str, Stage]) -> Iterator[Stage]:
    for row in rows:
        step, title = f"target:{row.label}", f"{row.label} on this device"
        if row.drift is None:
            reason = "it gave no scores" if row.error is None else row.error.message
            yield Stage(step, title, not_run=reason)
            continue
        after = QDQ if row.precision == "int8" else FLOAT_ONNX
        yield Stage(step, title, row.scores, after=after if shared[after].not_run is None else FLOAT_ONNX)


def _camera_stages(request: WaterfallRequest, bundle: Bundle, rows: Sequence[Row]) -> list[Stage]:
    """Score the camera path on the fastest int8 target, or on the fastest where there is no int8."""
    able = [row for row in rows if row.drift is not None and row.latency_ms.p50 is not None]
    if not able:
        return [_camera_not_run(step, "no target could be measured") for step in CAMERA_STEPS]
    row = min(able, key=lambda row: (row.precision != "int8", row.latency_ms.p50))
    stages = []
    after = f"target:{row.label}"
    with TargetProcess(row.label) as process:
        try:
            process.ask(
                "load",
                _LOAD_SECONDS,
                bundle=str(bundle.path.resolve()),
                backend=request.backends[row.label],
                precision=row.precision,
                threads=request.threads,
                picture=dataclasses.asdict(request.pictures[0]),
            )
            for step in CAMERA_STEPS:
                pictures = [dataclasses.replace(picture, camera=step) for picture in request.pictures]
                name, title = f"camera:{step}", f"{row.label}, {CAMERA_STEPS[step]}"
                stages.append(Stage(name, title, _ask_scores(process, pictures), after=after))
                after = name
        except EdgeIqaError as error:
            missing = list(CAMERA_STEPS)[len(stages) :]
            stages += [_camera_not_run(step, error.as_dict()["message"]) for step in missing]
    return stages


def _ask_scores(process: TargetProcess, pictures: Sequence[BenchPicture]) -> list[float]:
    scores: list[float] = []
    for first in track(range(0, len(pictures), _PORTION), "camera path"):
        portion = [dataclasses.asdict(picture) for picture in pictures[first : first + _PORTION]]
        scores += process.ask("score", pictures=portion)["scores"]
    return scores


def _not_run(step: str, reason: str) -> Stage:
    return Stage(step, SHARED_STAGES[step], not_run=reason)


def _camera_not_run(step: str, reason: str) -> Stage:
    return Stage(f"camera:{step}", CAMERA_STEPS[step], not_run=reason)
