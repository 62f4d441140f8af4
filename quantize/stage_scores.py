"""Scores of the embedded pictures at the stages that only training can run, for the bundle to carry.

    python -m edge_iqa.quantize.stage_scores BUNDLE.eiqa --teacher T.safetensors -o NEW.eiqa

adds a teacher's scores to a bundle that has none; the rest of the bundle stays as it is.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import nn

from edge_iqa.benchmarks.pictures import collect_pictures
from edge_iqa.benchmarks.stage_file import STAGE_FILE, read_stage_scores, stage_file, tensor_key
from edge_iqa.benchmarks.teacher_scores import ScoreArray, array_scorer
from edge_iqa.benchmarks.waterfall import FAKE_QUANT, STUDENT, TEACHER, TEACHER_RESIZED
from edge_iqa.bundle import read_bundle, write_bundle
from edge_iqa.models.checkpoint import load_network
from edge_iqa.preprocess import PreprocessSpec, preprocess
from edge_iqa.progress import track

PICTURES = 300  # at most; the embedded photographs with their distortions are fewer


def score_stages(
    spec: PreprocessSpec, teacher: ScoreArray | None, students: Mapping[str, ScoreArray]
) -> tuple[list[str], dict[str, list[float]]]:
    """Score the embedded pictures: keys of their input tensors, and a series of scores for each stage.

    ``teacher`` scores each picture at its own size and as the input tensor; ``students`` (stage → scorer) only
    as the input tensor.
    """
    keys: list[str] = []
    scores: dict[str, list[float]] = {stage: [] for stage in students}
    if teacher is not None:
        scores |= {TEACHER: [], TEACHER_RESIZED: []}
    for picture in track(collect_pictures(None, PICTURES, 0).pictures, "scoring stages"):
        pixels = picture.load()
        tensor = preprocess(pixels, spec)
        keys.append(tensor_key(tensor))
        if teacher is not None:
            scores[TEACHER].append(teacher(pixels))
            scores[TEACHER_RESIZED].append(teacher(tensor[0]))
        for stage, student in students.items():
            scores[stage].append(student(tensor[0]))
    return keys, scores


def stages_of_training(
    spec: PreprocessSpec,
    teacher: ScoreArray | None,
    network: nn.Module,
    prepared: nn.Module,
    mean: Sequence[float],
    std: Sequence[float],
) -> bytes:
    """Return the bundle's file for a student in float (``network``) and with fake quantization (``prepared``)."""
    students = {STUDENT: array_scorer(network, mean, std), FAKE_QUANT: array_scorer(prepared, mean, std)}
    return stage_file(*score_stages(spec, teacher, students))


def add_teacher(bundle_path: Path, teacher_path: Path, output: Path) -> None:
    """Write the bundle with a teacher's scores added; stages that it has already stay."""
    bundle = read_bundle(bundle_path)
    network, _, _ = load_network(teacher_path)
    teacher = array_scorer(network, network.mean, network.std)
    keys, scores = score_stages(bundle.manifest.preprocess, teacher, {})
    stored = read_stage_scores(bundle)
    if stored is not None and list(stored.pictures) == keys:
        scores = {stage: list(values) for stage, values in stored.scores.items()} | scores
    write_bundle(output, bundle.manifest, {**bundle.files, STAGE_FILE: stage_file(keys, scores)})


def main() -> None:
    parser = argparse.ArgumentParser(description="Add a teacher's scores of the embedded pictures to a bundle.")
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--teacher", type=Path, required=True)
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    add_teacher(options.bundle, options.teacher, options.output)


if __name__ == "__main__":
    main()
