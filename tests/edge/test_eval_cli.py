"""``edge-iqa eval``: opinions and pairs, a bundle and baselines, JSON, predictions, failures, wrong use."""

from __future__ import annotations

import csv
import hashlib
import json
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edge_iqa.bundle import read_bundle

from .command_line import Run

BLURS = (0.6, 1.0, 1.6, 2.5, 4.0, 6.0)


@pytest.fixture
def evaluate(run: Run) -> Run:
    """Return a function that runs ``edge-iqa eval`` in this process."""
    return partial(run, "eval")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of ever more blurred pictures with a table of scores, and one of pairs."""
    folder = tmp_path_factory.mktemp("dataset")
    sharp = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    rows = ["file,mos,subset"]
    for index, sigma in enumerate(BLURS):
        cv2.imwrite(str(folder / f"{index}.png"), cv2.GaussianBlur(sharp, (0, 0), sigma))
        rows.append(f"{index}.png,{len(BLURS) - index},{'mild' if index < 3 else 'strong'}")
    (folder / "scores.csv").write_text("\n".join(rows) + "\n")
    (folder / "copy.png").write_bytes((folder / "0.png").read_bytes())
    (folder / "pairs.csv").write_text(
        "kind,better,worse\nblur,0.png,3.png\nblur,1.png,4.png\nblur,5.png,2.png\nnone,0.png,copy.png\n"
    )
    return folder


@pytest.fixture
def options(sharpness_bundle: Path) -> list[str]:
    return ["--bundle", str(sharpness_bundle), "--backend", "onnxruntime", "--threads", "1"]


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_opinions_as_json(evaluate: Run, dataset: Path, options: list[str], sharpness_bundle: Path) -> None:
    table = dataset / "scores.csv"
    done = evaluate("--csv", table, "--root", dataset, *options, "--json", "-")
    assert (done.returncode, done.stderr) == (0, "")
    document: dict[str, Any] = json.loads(done.stdout)
    assert document["schema_version"] == 1
    assert document["n"] == 6
    assert document["srcc"] == pytest.approx(1)
    assert document["krcc"] == pytest.approx(1)
    assert 0.5 < document["plcc"] <= document["plcc_logistic"] <= 1
    assert document["srcc_interval_95"] == pytest.approx([1, 1])
    assert {name: part["n"] for name, part in document["per_subset"].items()} == {"mild": 3, "strong": 3}
    assert document["failed"] == {"n": 0, "codes": {}, "files": []}
    scorer = document["scorer"]
    assert scorer["bundle"]["sha256"] == read_bundle(sharpness_bundle).sha256
    assert (scorer["backend"], scorer["precision"], scorer["threads"]) == ("onnxruntime", "int8", 1)
    assert document["data"]["sha256"] == sha256(table)


def test_table_json_file_and_predictions(evaluate: Run, dataset: Path, options: list[str], tmp_path: Path) -> None:
    result, predictions = tmp_path / "result.json", tmp_path / "predictions.csv"
    outputs = ["--json", str(result), "--predictions", str(predictions)]
    done = evaluate("--csv", dataset / "scores.csv", "--root", dataset, *options, *outputs)
    assert done.returncode == 0
    title, headings, *rows = done.stdout.splitlines()
    assert "sharpness" in title
    assert headings.split() == ["n", "srcc", "srcc_interval_95", "plcc", "plcc_logistic", "krcc"]
    assert [row.split()[:3] for row in rows] == [
        ["all", "6", "1.0000"], ["mild", "3", "1.0000"], ["strong", "3", "1.0000"],
    ]  # fmt: skip
    assert json.loads(result.read_text())["n"] == 6
    written = list(csv.DictReader(predictions.read_text().splitlines()))
    assert [row["file"] for row in written] == [f"{index}.png" for index in range(6)]
    scores = [float(row["score"]) for row in written]
    assert scores == sorted(scores, reverse=True)


def test_pairs_count_ties_as_wrong(evaluate: Run, dataset: Path, options: list[str]) -> None:
    arguments = ["--pairs", str(dataset / "pairs.csv"), "--root", str(dataset), *options]
    document = json.loads(evaluate(*arguments, "--json", "-").stdout)
    assert (document["n"], document["right"], document["ties"], document["accuracy"]) == (4, 2, 1, 0.5)
    assert document["per_kind"]["blur"]["accuracy"] == pytest.approx(2 / 3)
    assert document["per_kind"]["none"]["accuracy"] == 0
    assert "a tie counts as wrong" in evaluate(*arguments).stdout


def test_bad_pictures_are_counted_and_the_others_evaluated(
    evaluate: Run, dataset: Path, options: list[str], tmp_path: Path
) -> None:
    table = tmp_path / "scores.csv"
    rows = (dataset / "scores.csv").read_text() + "none.png,3,mild\nscores.csv,2,strong\n"
    table.write_text(rows)
    done = evaluate("--csv", table, "--root", dataset, *options, "--json", "-")
    assert done.returncode == 3
    assert "2 of 8 pictures could not be scored" in done.stderr
    assert "E201" in done.stderr
    document = json.loads(done.stdout)
    assert (document["n"], document["failed"]["n"]) == (6, 2)
    assert document["failed"]["codes"] == {"E201": 1, "E203": 1}
    assert [failure["file"] for failure in document["failed"]["files"]] == ["none.png", "scores.csv"]


def test_all_pictures_bad_gives_null_and_3(evaluate: Run, dataset: Path, options: list[str], tmp_path: Path) -> None:
    done = evaluate("--csv", dataset / "scores.csv", "--root", tmp_path, *options, "--json", "-")
    assert done.returncode == 3
    document = json.loads(done.stdout)
    assert (document["n"], document["srcc"], document["failed"]["n"]) == (0, None, 6)


@pytest.mark.parametrize("name", ["laplacian", "tenengrad"])
def test_baselines_need_no_bundle(evaluate: Run, dataset: Path, name: str) -> None:
    table = ["--csv", str(dataset / "scores.csv"), "--root", str(dataset)]
    arguments = [*table, "--baseline", name, "--only-baselines"]
    document = json.loads(evaluate(*arguments, "--json", "-").stdout)
    assert document["srcc"] == pytest.approx(1)
    assert document["scorer"] == {"baseline": name}
    assert f"baseline {name}" in evaluate(*arguments).stdout


def test_wrong_line_is_named(evaluate: Run, dataset: Path, options: list[str], tmp_path: Path) -> None:
    table = tmp_path / "scores.csv"
    table.write_text("file,mos\n0.png,1\n1.png,good\n")
    done = evaluate("--csv", table, "--root", dataset, *options)
    assert done.returncode == 2
    assert done.stderr.startswith("E102")
    assert "line 3" in done.stderr
    assert "edge-iqa explain E102" in done.stderr


def test_wrong_use_is_2(evaluate: Run, dataset: Path, options: list[str], tmp_path: Path) -> None:
    scores, pairs = ["--csv", str(dataset / "scores.csv")], ["--pairs", str(dataset / "pairs.csv")]
    root = ["--root", str(dataset)]
    cases: list[tuple[list[str], str]] = [
        ([*root, *options], "--csv or --pairs"),
        ([*scores, *pairs, *root, *options], "--csv or --pairs"),
        ([*scores, *options], "--root"),
        ([*scores, "--root", str(tmp_path / "none"), *options], "There is no folder"),
        ([*scores, *root, *options, "--model", str(tmp_path / "none.safetensors")], "--bundle and --model"),
        ([*scores, *root, *options, "--baseline", "laplacian", "--only-baselines"], "--only-baselines"),
        ([*scores, *root, "--only-baselines"], "--only-baselines"),
        ([*scores, *root, "--baseline", "piqe"], "laplacian, tenengrad, brisque, niqe"),
        ([*scores, *root, "--dataset", "live"], "--csv or --pairs"),
        (["--sanity", *scores, *root], "--sanity"),
        (["--sanity", "--predictions", str(tmp_path / "p.csv")], "--sanity"),
        (["--dataset", "mnist", *root], "live, csiq, tid2013"),
        (["--dataset", "live", *root], "dmos_realigned.mat"),
        (["--dataset", "live", "--root", str(tmp_path / "none")], "There is no folder"),
        ([*scores, *root, "--bundle", str(tmp_path / "none.eiqa")], "There is no bundle"),
        ([*scores, *root, *options, "--json", str(tmp_path / "none" / "a.json")], "cannot be written"),
        ([*scores, *root, *options, "--predictions", str(tmp_path)], "cannot be written"),
        ([*scores, *root, *options, "--score-column", "dmos"], "no column 'dmos'"),
    ]
    for arguments, message in cases:
        done = evaluate(*arguments)
        assert (done.returncode, done.stdout) == (2, ""), arguments
        assert message in done.stderr, arguments


def test_baselines_stand_in_the_same_table(evaluate: Run, dataset: Path, options: list[str], tmp_path: Path) -> None:
    predictions = tmp_path / "predictions.csv"
    arguments = ["--csv", str(dataset / "scores.csv"), "--root", str(dataset), *options]
    arguments += ["--baseline", "laplacian", "--baseline", "tenengrad", "--baseline", "laplacian"]
    done = evaluate(*arguments, "--predictions", predictions)
    title, headings, *rows = done.stdout.splitlines()
    assert "sharpness" in title
    assert headings.split()[:2] == ["scorer", "n"]
    assert [row.split()[:4] for row in rows[:3]] == [
        ["all", "sharpness", "6", "1.0000"], ["all", "laplacian", "6", "1.0000"], ["all", "tenengrad", "6", "1.0000"],
    ]  # fmt: skip
    assert len(rows) == 9
    assert predictions.read_text().splitlines()[0] == "file,score,laplacian,tenengrad"
    document = json.loads(evaluate(*arguments, "--json", "-").stdout)
    assert document["scorer"]["bundle"]["name"] == "sharpness"
    assert [other["scorer"] for other in document["baselines"]] == [
        {"baseline": "laplacian"},
        {"baseline": "tenengrad"},
    ]
    assert all(other["srcc"] == pytest.approx(1) for other in document["baselines"])


def test_a_published_dataset_with_its_rule_and_direction(evaluate: Run, options: list[str], tmp_path: Path) -> None:
    """DMOS falls with quality: a scorer that is right has +1 once it is turned, and the result says so."""
    noise = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    lines = []
    for level, sigma in enumerate(BLURS[:5], start=1):
        picture = tmp_path / "dst_imgs" / "blur" / f"a.BLUR.{level}.png"
        picture.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(picture), cv2.GaussianBlur(noise, (0, 0), sigma))
        lines.append(f"a.BLUR.{level}.png {level / 10}")
    (tmp_path / "csiq_label.txt").write_text("\n".join([*lines, "a.BLUR.6.png 0.7"]))
    done = evaluate("--dataset", "csiq", "--root", tmp_path, *options, "--json", "-")
    assert done.returncode == 3  # the sixth is listed but not there
    document = json.loads(done.stdout)
    assert (document["n"], document["srcc"]) == (5, pytest.approx(1))
    data = document["data"]
    assert (data["dataset"], data["listed"], data["resolution"]) == ("csiq", 6, "full resolution")
    assert "multiplied by -1" in data["opinion_direction"]
    assert data["label_files"] == [{"name": "csiq_label.txt", "sha256": sha256(tmp_path / "csiq_label.txt")}]
    assert document["failed"]["codes"] == {"E201": 1}
    assert "multiplied by -1" in evaluate("--dataset", "csiq", "--root", tmp_path, *options).stdout


def test_resolution_rule_reaches_the_scorer(evaluate: Run, tmp_path: Path) -> None:
    """FLIVE is scored at 512x512: the Laplacian of an enlarged picture is not that of the file."""
    noise = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    (tmp_path / "database").mkdir()
    cv2.imwrite(str(tmp_path / "database" / "a.png"), noise)
    (tmp_path / "labels_image.csv").write_text("name,mos\na.png,50\n")
    found = {}
    for name, table in (("flive", ["--dataset", "flive"]), ("csv", ["--csv", str(tmp_path / "plain.csv")])):
        (tmp_path / "plain.csv").write_text("file,mos\ndatabase/a.png,50\n")
        output = tmp_path / f"{name}.csv"
        evaluate(*table, "--root", tmp_path, "--baseline", "laplacian", "--only-baselines", "--predictions", output)
        (row,) = csv.DictReader(output.read_text().splitlines())
        found[name] = float(row["score"])
    assert found["flive"] < 0.2 * found["csv"]


def test_sanity_says_which_line_fails(
    evaluate: Run, options: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("edge_iqa.benchmarks.sanity.DEGRADATIONS", ())
    output = tmp_path / "sanity.json"
    done = evaluate("--sanity", "--baseline", "laplacian", "--only-baselines", "--json", output)
    assert done.returncode == 1
    assert done.stderr.startswith("E600")
    assert "uniform colour noise" in done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["laplacian"]
    assert "pass" in next(line for line in lines if line.startswith("flat grey"))
    assert "FAIL" in next(line for line in lines if line.startswith("uniform colour noise"))
    document = json.loads(output.read_text())
    assert (document["schema_version"], document["kind"], document["n"]) == (1, "sanity", 8)
    assert document["passed"] == sum(line["passed"] for line in document["lines"]) == 5
    beside = json.loads(evaluate("--sanity", *options, "--baseline", "laplacian", "--json", "-").stdout)
    assert beside["scorer"]["bundle"]["name"] == "sharpness"
    assert [other["passed"] for other in beside["baselines"]] == [5]
