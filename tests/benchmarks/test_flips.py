"""Flipped pictures: which they are, what is saved, the previews, and how the reports show them."""

from __future__ import annotations

import csv
import dataclasses
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_iqa.benchmarks.flips import INDEX, file_name, find_flips, save_flips, thumbnails
from edge_iqa.benchmarks.pictures import collect_pictures
from edge_iqa.benchmarks.report_html import html_text
from edge_iqa.benchmarks.report_markdown import escaped, markdown_text
from edge_iqa.benchmarks.report_waterfall import waterfall_lines
from edge_iqa.benchmarks.results import BenchResult, Estimate
from edge_iqa.benchmarks.run import BenchOutcome
from edge_iqa.benchmarks.waterfall import Stage, build_waterfall
from edge_iqa.errors import InvalidInput


@pytest.fixture
def flipping(bench_outcome: BenchOutcome) -> BenchResult:
    """Return the result in which int8 exchanges the two pictures nearest to the threshold, in row and waterfall."""
    result = bench_outcome.result
    reference = result.reference_scores
    threshold = float(np.median(reference))
    order = np.argsort(np.abs(np.array(reference) - threshold))[:2]
    scores = list(reference)
    for position in order:
        scores[position] = 2 * threshold - reference[position] + (1e-4 if reference[position] < threshold else -1e-4)
    first, second, *others = result.rows
    assert second.drift is not None
    drift = dataclasses.replace(second.drift, threshold=threshold, flips=2)
    steps = build_waterfall([Stage("float_onnx", "float", reference), Stage("qdq", "graph", scores)], threshold)
    return dataclasses.replace(
        result, rows=[first, dataclasses.replace(second, scores=scores, drift=drift), *others], waterfall=steps
    )


def test_flips_are_found_in_rows_and_in_steps(flipping: BenchResult) -> None:
    found = [(flip.step, flip.against) for flip in find_flips(flipping)]
    assert found == [("onnxruntime int8", "onnxruntime fp32")] * 2 + [("qdq", "float_onnx")] * 2
    assert all((flip.before >= flip.threshold) != (flip.after >= flip.threshold) for flip in find_flips(flipping))


def test_flipped_pictures_are_saved_with_a_table(
    flipping: BenchResult, bench_outcome: BenchOutcome, tmp_path: Path
) -> None:
    assert save_flips(flipping, bench_outcome.pictures, tmp_path / "flips") == 4
    with (tmp_path / "flips" / INDEX).open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 4
    for row in rows:
        saved = tmp_path / "flips" / row["file"]
        source = next(entry for entry in bench_outcome.pictures if entry.name == row["picture"])
        assert saved.read_bytes() == Path(source.path).read_bytes()
    assert {Path(row["file"]).parts[0] for row in rows} == {"onnxruntime-int8", "qdq"}
    with pytest.raises(InvalidInput, match="cannot be written"):
        save_flips(flipping, bench_outcome.pictures, Path("/proc/none"))


def test_a_distorted_picture_is_saved_as_it_was_scored(flipping: BenchResult, tmp_path: Path) -> None:
    pictures = collect_pictures(None, flipping.images.n, 0).pictures
    distorted = [dataclasses.replace(pictures[0], distortion="blur", strength=4.0)] * flipping.images.n
    save_flips(flipping, distorted, tmp_path / "flips")
    saved = next((tmp_path / "flips" / "qdq").iterdir())
    assert np.array_equal(cv2.imread(str(saved))[:, :, ::-1], distorted[0].load())


def test_previews_are_small_and_shown_beside_their_names(flipping: BenchResult, bench_outcome: BenchOutcome) -> None:
    small = thumbnails(flipping, bench_outcome.pictures)
    assert len(small) == 2
    assert all(data.startswith(b"\xff\xd8") and len(data) < 20_000 for data in small.values())
    page = html_text(flipping, small)
    assert page.count('src="data:image/jpeg;base64,') == 2
    assert "http" not in page
    assert page.count("<img") == html_text(flipping).count("<img") + 2


@pytest.mark.parametrize(
    ("text", "name"),
    [("onnxruntime int8", "onnxruntime-int8"), ("../../etc", "etc"), ("a/b:c*", "a-b-c"), ("…", "picture")],
)
def test_names_are_safe(text: str, name: str) -> None:
    assert file_name(text) == name


def test_the_terminal_names_each_step_and_the_restoring_threshold(flipping: BenchResult) -> None:
    (head, first, line) = waterfall_lines(flipping.waterfall)
    assert head.startswith("where the score changes")
    assert first == "  float_onnx, the first"
    assert "qdq after float_onnx" in line
    assert f"flips 2/{flipping.images.n}" in line
    missing = build_waterfall([*(Stage(name, name, [0.1, 0.9]) for name in "ab"), Stage("c", "C", not_run="why")], 0.5)
    assert waterfall_lines(missing)[-1] == "  c: not run (why)"
    assert waterfall_lines([]) == []


def test_markdown_has_every_row_and_escapes_names(flipping: BenchResult) -> None:
    row = dataclasses.replace(flipping.rows[0], reasons=["a | b\n<img src=x>"])
    estimate = Estimate("ESTIMATE", "nano", "Orin Nano", "jetson", "GPU", "int8", 0.3, 0.5, 1, None, "b", "s")
    text = markdown_text(dataclasses.replace(flipping, rows=[row, *flipping.rows[1:]], estimates=[estimate]))
    assert sum(line.startswith("| onnxruntime ") for line in text.splitlines()) == 2
    assert "<img" not in text.replace("\\<img", "")
    rows_part, estimates_part = text.split("## Estimates: nothing here was measured")
    assert "ESTIMATE" not in rows_part
    assert "| ESTIMATE | Orin Nano |" in estimates_part
    assert escaped("a|b*c\n d") == "a\\|b\\*c d"
