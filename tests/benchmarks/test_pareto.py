"""The Pareto front holds what no other point beats, and the plot marks it."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from edge_iqa.benchmarks.pareto import Point, main, pareto_front, pareto_svg, read_points
from edge_iqa.errors import InvalidInput, UnknownKey

FAST = Point("fast", 0.60, 3.0, "lite")
GOOD = Point("good <&>", 0.70, 9.0, "resnet")
SLOW = Point("slow", 0.65, 20.0, "resnet")
WORSE = Point("worse", 0.59, 3.0, "lite")


def test_front_is_fastest_first_and_leaves_out_what_is_beaten() -> None:
    assert pareto_front([SLOW, GOOD, WORSE, FAST]) == [FAST, GOOD]
    assert pareto_front([SLOW]) == [SLOW]
    twin = Point("twin", FAST.srcc, FAST.p50_ms)
    assert pareto_front([twin, FAST]) == [FAST, twin]  # neither is better in anything


def test_plot_is_well_formed_and_marks_points_off_the_front() -> None:
    svg = pareto_svg([FAST, GOOD, SLOW, WORSE], "Students")
    root = ElementTree.fromstring(svg)
    space = {"s": "http://www.w3.org/2000/svg"}
    texts = ["".join(text.itertext()) for text in root.findall(".//s:text", space)]
    assert {"fast", "good <&>", "slow", "worse", "Students", "SROCC", "median latency, ms"} <= set(texts)
    dots = [dot for dot in root.findall(".//s:circle", space) if float(dot.attrib["r"]) == 5]
    assert len(dots) == 4 + 2  # a dot per point and one per series in the legend
    assert sum(dot.attrib.get("class") == "beaten" for dot in dots) == 2
    (front,) = root.findall(".//s:path", space)
    corners = re.findall(r"[MHV]", front.attrib["d"])
    assert corners == ["M", "H", "V", "H"]
    x = {dot.attrib["cx"]: dot for dot in dots}
    assert len(x) == 4  # fast and worse share a latency; the legend has its own column


def test_higher_and_faster_is_up_and_left() -> None:
    svg = pareto_svg([FAST, GOOD])
    places = re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)" r="5" fill="#2563a8"', svg)
    fast = tuple(map(float, places[0]))
    good = tuple(map(float, re.findall(r'cx="([\d.]+)" cy="([\d.]+)" r="5" fill="#b45309"', svg)[0]))
    assert fast[0] < good[0]
    assert fast[1] > good[1]


@pytest.mark.parametrize(
    ("content", "kind", "what"),
    [
        ("", InvalidInput, "holds no points"),
        ("{", InvalidInput, "line 1 is not JSON"),
        ('\n{"name": "a", "srcc": 0.5}', InvalidInput, "line 2"),
        ('{"name": "a", "srcc": 0.5, "p50_ms": 0}', InvalidInput, "latency of 0"),
        ('{"name": "a", "srcc": 0.5, "p50_ms": 1, "p90": 2}', UnknownKey, "p90"),
    ],
)
def test_wrong_points_are_refused(content: str, kind: type[InvalidInput], what: str, tmp_path: Path) -> None:
    file = tmp_path / "points.jsonl"
    file.write_text(content)
    with pytest.raises(kind, match=what):
        read_points(file)


def test_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    file, plot = tmp_path / "points.jsonl", tmp_path / "plot.svg"
    file.write_text('{"name": "a", "srcc": 0.5, "p50_ms": 1}\n\n{"name": "b", "srcc": 0.4, "p50_ms": 2}\n')
    monkeypatch.setattr("sys.argv", ["pareto", str(file), "-o", str(plot)])
    main()
    assert capsys.readouterr().out == "on the front: a\n"
    ElementTree.fromstring(plot.read_text())
    monkeypatch.setattr("sys.argv", ["pareto", str(tmp_path / "none"), "-o", str(plot)])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2
