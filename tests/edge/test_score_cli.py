"""``edge-iqa score`` and the frame of the command line: rows, exit codes, no traceback, light imports."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_iqa import __version__
from edge_iqa.errors import all_errors

RUN = "from edge_iqa.cli import main; main()"


def run(*arguments: str | os.PathLike[str], stdin: bytes = b"") -> subprocess.CompletedProcess[str]:
    """Run the command line as a process of its own, as a user does."""
    done = subprocess.run(
        [sys.executable, "-c", RUN, *arguments], input=stdin, capture_output=True, timeout=120, check=False
    )
    result = subprocess.CompletedProcess(
        done.args, done.returncode, done.stdout.decode(errors="surrogateescape"), done.stderr.decode()
    )
    assert "Traceback" not in result.stderr
    assert "Traceback" not in result.stdout
    return result


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a sharp and a blurred picture, a broken one in a folder below, and a text file."""
    folder = tmp_path_factory.mktemp("pictures")
    sharp = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    cv2.imwrite(str(folder / "a sharp.PNG"), sharp)
    cv2.imwrite(str(folder / "b_blurred.png"), cv2.GaussianBlur(sharp, (0, 0), 4))
    whole = cv2.imencode(".jpg", sharp)[1].tobytes()
    (folder / "below").mkdir()
    (folder / "below" / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "below" / "folder.png").mkdir()
    (folder / "notes.txt").write_text("not a picture")
    return folder


@pytest.fixture
def options(sharpness_bundle: Path) -> list[str]:
    return ["--bundle", str(sharpness_bundle), "--backend", "onnxruntime", "--threads", "1"]


def test_jsonl_rows_of_a_folder(pictures: Path, options: list[str]) -> None:
    done = run("score", pictures, *options, "--format", "jsonl")
    assert done.returncode == 3
    assert "1 of 3 pictures could not be scored" in done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [Path(row["path"]).name for row in rows] == ["a sharp.PNG", "b_blurred.png", "cut.jpg"]
    sharp, blurred, cut = rows
    assert set(sharp) == {"path", "score", "width", "height", "latency_ms", "error"}
    assert 0 <= blurred["score"] < sharp["score"] <= 1
    assert (sharp["width"], sharp["height"], sharp["error"]) == (64, 48, None)
    assert sharp["latency_ms"] > 0
    assert cut["error"]["code"] == "E204"
    assert cut["error"]["message"]
    assert (cut["score"], cut["width"], cut["height"], cut["latency_ms"]) == (None, None, None, None)


def test_csv_rows_keep_the_order_of_the_arguments(pictures: Path, options: list[str]) -> None:
    paths = [str(pictures / name) for name in ("b_blurred.png", "none.png", "a sharp.PNG", "notes.txt")]
    done = run("score", *paths, *options, "--format", "csv")
    assert done.returncode == 3
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert [row["path"] for row in rows] == paths
    assert [row["error_code"] for row in rows] == ["", "E201", "", "E203"]
    assert [bool(row["score"]) for row in rows] == [True, False, True, False]
    assert float(rows[0]["score"]) < float(rows[2]["score"])


def test_table_has_a_line_per_picture_and_totals(pictures: Path, options: list[str]) -> None:
    done = run("score", pictures, *options)
    lines = done.stdout.splitlines()
    assert len(lines) == 5
    assert lines[0].startswith("score")
    assert lines[1].endswith("a sharp.PNG")
    assert "64x48" in lines[1]
    assert lines[3].startswith("E204")
    assert lines[4].startswith("2 scored: lowest ")
    lowest, middle, highest = (float(part.split()[-1]) for part in lines[4].split(","))
    assert middle == pytest.approx((lowest + highest) / 2, abs=1e-4)


def test_good_pictures_end_with_0_and_a_silent_stderr(pictures: Path, options: list[str]) -> None:
    done = run("score", pictures / "a sharp.PNG", *options)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_same_picture_has_the_same_score_alone_and_among_others(pictures: Path, options: list[str]) -> None:
    sharp = str(pictures / "a sharp.PNG")
    alone = json.loads(run("score", sharp, *options, "--format", "jsonl").stdout)
    among = run("score", str(pictures / "b_blurred.png"), sharp, *options, "--format", "jsonl").stdout
    assert json.loads(among.splitlines()[1])["score"] == alone["score"]


def test_fp32_of_the_same_graph_gives_the_same(pictures: Path, options: list[str]) -> None:
    sharp = str(pictures / "a sharp.PNG")
    scores = [
        json.loads(run("score", sharp, *options, "--format", "jsonl", "--precision", precision).stdout)["score"]
        for precision in ("int8", "fp32")
    ]
    assert scores[0] == scores[1]


def test_a_list_from_stdin(pictures: Path, options: list[str]) -> None:
    names = [str(pictures / "b_blurred.png"), str(pictures / "a sharp.PNG")]
    done = run("score", "-", *options, "--format", "csv", stdin="\r\n\n".join(names).encode())
    assert done.returncode == 0
    assert [row["path"] for row in csv.DictReader(io.StringIO(done.stdout))] == names


@pytest.mark.skipif(sys.platform != "linux", reason="other systems forbid such names")
@pytest.mark.parametrize("format", ["table", "csv", "jsonl"])
def test_file_names_that_are_not_utf8(pictures: Path, options: list[str], tmp_path: Path, format: str) -> None:
    name = os.fsencode(tmp_path) + b"/caf\xe9.png"
    with open(name, "wb") as copy:
        copy.write((pictures / "a sharp.PNG").read_bytes())
    output = tmp_path / "rows"
    direct = run("score", tmp_path, *options, "--format", format)
    listed = run("score", "-", *options, "--format", format, "-o", output, stdin=name + b"\n")
    assert (direct.returncode, listed.returncode) == (0, 0)
    if format == "jsonl":
        assert os.fsencode(json.loads(direct.stdout)["path"]) == name
    else:
        assert name in os.fsencode(direct.stdout)
        assert name in output.read_bytes()


def test_output_file(pictures: Path, options: list[str], tmp_path: Path) -> None:
    output = tmp_path / "rows.jsonl"
    output.write_text("old\n" * 100)
    done = run("score", pictures / "a sharp.PNG", *options, "--format", "jsonl", "-o", output)
    assert (done.returncode, done.stdout) == (0, "")
    assert json.loads(output.read_text())["error"] is None


@pytest.mark.parametrize("target", ["none/rows.csv", "."])
def test_output_that_cannot_be_written(pictures: Path, options: list[str], tmp_path: Path, target: str) -> None:
    done = run("score", pictures, *options, "-o", tmp_path / target)
    assert done.returncode == 2
    assert "E100" in done.stderr
    assert "cannot be written" in done.stderr


def test_missing_bundle_leaves_an_older_output_alone(pictures: Path, tmp_path: Path) -> None:
    output = tmp_path / "rows.csv"
    output.write_text("old")
    done = run("score", pictures, "--bundle", tmp_path / "none.eiqa", "-o", output)
    assert done.returncode == 2
    assert "There is no bundle" in done.stderr
    assert "edge-iqa explain E100" in done.stderr
    assert output.read_text() == "old"


def test_broken_bundle_is_5(pictures: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.eiqa"
    broken.write_bytes(b"not a bundle")
    done = run("score", pictures, "--bundle", broken)
    assert done.returncode == 5
    assert done.stderr.startswith("E503: broken.eiqa")


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        (["--format", "xml"], "There is no format 'xml'"),
        (["--backend", "abacus"], "There is no backend 'abacus'"),
        (["--precision", "int4"], "There is no precision 'int4'"),
        (["--threads", "0"], "threads must be at least 1"),
        (["--threads", "two"], "--threads"),
        (["--no-such-option"], "--no-such-option"),
    ],
)
def test_wrong_use_is_2(pictures: Path, sharpness_bundle: Path, wrong: list[str], named: str) -> None:
    done = run("score", pictures, "--bundle", sharpness_bundle, *wrong)
    assert done.returncode == 2
    assert named in done.stderr
    assert done.stdout == ""


def test_nothing_to_score_is_2(options: list[str], tmp_path: Path) -> None:
    done = run("score", tmp_path, *options)
    assert done.returncode == 2
    assert "No pictures were named" in done.stderr


def test_a_name_that_is_too_long_is_a_row(options: list[str]) -> None:
    done = run("score", "x" * 5000, *options, "--format", "jsonl")
    assert done.returncode == 3
    assert json.loads(done.stdout)["error"]["code"] in {"E201", "E202"}


@pytest.mark.skipif(os.name != "posix", reason="needs a pipe")
def test_a_reader_that_stops_early_is_no_fault(pictures: Path, options: list[str]) -> None:
    many = [str(pictures / "a sharp.PNG")] * 500
    command = [sys.executable, "-c", RUN, "score", *many, *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        stderr = process.stderr.read()
        code = process.wait(timeout=120)
    assert stderr == b""
    assert code == 0


def test_version() -> None:
    done = run("--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{__version__}\n", "")


def test_explain_every_code() -> None:
    done = run("explain", "e204")
    assert done.returncode == 0
    assert done.stdout.startswith("E204 ImageCorrupt (exit 3)\n")
    assert "half-decoded" in done.stdout
    unknown = run("explain", "E999")
    assert unknown.returncode == 2
    assert all(error.code in unknown.stderr for error in all_errors())


HEAVY = ("numpy", "cv2", "torch", "onnx", "onnxruntime", "openvino", "tensorrt", "ai_edge_litert", "scipy")


@pytest.mark.parametrize("arguments", [["--help"], ["score", "--help"], ["eval", "--help"], ["--version"], None])
def test_help_and_import_load_nothing_heavy(arguments: list[str] | None) -> None:
    """Help and ``import edge_iqa`` must be instant on a small computer."""
    act = "import edge_iqa" if arguments is None else f"sys.argv[1:] = {arguments!r}\n    {RUN}"
    program = (
        f"import sys\ntry:\n    {act}\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0
    assert done.stderr == "[]\n"


def test_help_names_every_verb() -> None:
    from edge_iqa.cli import VERBS

    done = run("--help")
    assert done.returncode == 0
    assert all(verb in done.stdout for verb in VERBS)


def test_a_fault_of_the_tool_is_70(pictures: Path, sharpness_bundle: Path) -> None:
    program = (
        f"import edge_iqa.scorer\ndef fail(*_):\n    raise KeyError('inside')\nedge_iqa.scorer.preprocess = fail\n{RUN}"
    )
    command = [sys.executable, "-c", program, "score", str(pictures), "--bundle", str(sharpness_bundle)]
    command += ["--backend", "onnxruntime"]
    for variable, shown in (("", False), ("1", True)):
        environment = {**os.environ, "EDGE_IQA_TRACEBACK": variable}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
        assert ("Traceback" in done.stderr) is shown
        if not shown:
            assert done.returncode == 70
            assert "KeyError: 'inside'" in done.stderr
