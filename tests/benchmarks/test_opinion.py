"""Tables of opinions and pairs: what is read, what is refused with its line, and what is measured."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from edge_iqa.benchmarks.baselines import BASELINES, laplacian_variance, tenengrad
from edge_iqa.benchmarks.opinion import (
    Agreement,
    PairAccuracy,
    compare_opinions,
    compare_pairs,
    failure_document,
    score_pictures,
    wilson_interval,
)
from edge_iqa.benchmarks.opinion_tables import Opinion, Pair, pictures_of, read_opinions, read_pairs
from edge_iqa.errors import DatasetError, ImageError, ImageNotFound, InvalidInput


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return tmp_path / "table.csv"


def test_columns_and_subsets(table: Path) -> None:
    table.write_bytes('\ufeffsubset,mos,file\r\nx,0.5,"a, b.png"\r\n\r\n,1e1,ü.png\r\n'.encode())
    assert read_opinions(table) == [Opinion("a, b.png", 0.5, "x"), Opinion("ü.png", 10.0, None)]
    table.write_text("image,score,album\na.png, 3 ,one\n")
    assert read_opinions(table, "image", "score") == [Opinion("a.png", 3.0, None)]
    assert read_opinions(table, "image", "score", "album") == [Opinion("a.png", 3.0, "one")]


@pytest.mark.parametrize(
    ("content", "what", "why"),
    [
        (b"file,mos\na.png,1\nb.png,high\n", "line 3", "'high', not a finite number"),
        (b"file,mos\na.png,nan\n", "line 2", "not a finite number"),
        (b"file,mos\na.png,inf\n", "line 2", "not a finite number"),
        (b"file,mos\na.png,\n", "line 2", "not a finite number"),
        (b"file,mos\n,1\n", "line 2", "'file' is empty"),
        (b"file,mos\na.png\n", "line 2", "more or fewer cells"),
        (b"file,mos\na.png,1,2\n", "line 2", "more or fewer cells"),
        (b"file,mos\na.png,1\n\nb.png,1\na.png,2\n", "line 5", "'a.png' is listed twice, first on line 2"),
        (b'file,mos\n"a.png,1\n', "line 2", "not CSV"),
        (b"file,mos\na.png,1\n\xff.png,1\n", "line 3", "not UTF-8"),
        (b"name,mos\na.png,1\n", "no column 'file'", "name, mos"),
        (b"", "no column 'file'", "nothing"),
        (b"file,mos\n", "no lines below its header", ""),
    ],
)
def test_wrong_tables_are_refused_with_the_line(table: Path, content: bytes, what: str, why: str) -> None:
    table.write_bytes(content)
    with pytest.raises(DatasetError) as caught:
        read_opinions(table)
    assert what in caught.value.what
    assert why in caught.value.why


def test_a_subset_column_that_was_asked_for_must_be_there(table: Path) -> None:
    table.write_text("file,mos\na.png,1\n")
    with pytest.raises(DatasetError, match="no column 'album'"):
        read_opinions(table, subset_column="album")


def test_no_such_table(table: Path) -> None:
    for path in (table, table.parent):
        with pytest.raises(DatasetError, match="cannot be opened"):
            read_opinions(path)


def test_pairs(table: Path) -> None:
    table.write_text("kind,worse,better\nhaze,w1.png,b1.png\n,w2.png,b1.png\n")
    pairs = read_pairs(table)
    assert pairs == [Pair("b1.png", "w1.png", "haze"), Pair("b1.png", "w2.png", None)]
    assert pictures_of(pairs) == ["b1.png", "w1.png", "w2.png"]
    table.write_text("better,worse\na.png,a.png\n")
    with pytest.raises(DatasetError, match="line 2"):
        read_pairs(table)


def test_scoring_sets_bad_pictures_aside(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / name).write_text(name)

    def score(path: Path) -> float:
        if path.name == "b":
            raise ImageNotFound("there is no b")
        return float(ord(path.name))

    scored = score_pictures(["a", "b", "c"], tmp_path, score)
    assert scored.scores == {"a": 97.0, "c": 99.0}
    document = failure_document(scored.errors)
    assert document["n"] == 1
    assert document["codes"] == {"E201": 1}
    assert document["files"] == [{"file": "b", "code": "E201", "message": "there is no b"}]


def test_picture_hash_covers_contents_names_and_order(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_text(name)
    hashes = [score_pictures(files, tmp_path, lambda _: 0.0).sha256 for files in (["a", "b"], ["b", "a"], ["a"])]
    (tmp_path / "b").write_text("other")
    hashes.append(score_pictures(["a", "b"], tmp_path, lambda _: 0.0).sha256)
    (tmp_path / "b").write_text("b")
    assert len(set(hashes)) == 4
    assert score_pictures(["a", "b"], tmp_path, lambda _: 1.0).sha256 == hashes[0]


def test_no_root(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="There is no folder"):
        score_pictures(["a"], tmp_path / "none", lambda _: 0.0)


def test_opinions_are_compared_over_all_and_by_subset() -> None:
    opinions = [Opinion(f"{i}", float(i), "even" if i % 2 == 0 else "odd") for i in range(20)]
    scores = {row.file: row.opinion if row.subset == "even" else -row.opinion for row in opinions[:-1]}
    comparison = compare_opinions(opinions, scores)
    assert isinstance(comparison.total, Agreement)
    assert comparison.total.n == 19  # the last was not scored
    even, odd = comparison.parts["even"], comparison.parts["odd"]
    assert isinstance(even, Agreement)
    assert isinstance(odd, Agreement)
    assert (even.n, odd.n) == (10, 9)
    assert [even.srcc, even.krcc, odd.srcc, odd.plcc] == pytest.approx([1, 1, -1, -1])
    document = comparison.document()
    assert list(document) == ["n", "srcc", "srcc_interval_95", "plcc", "plcc_logistic", "krcc", "per_subset"]
    assert [row[0] for row in comparison.table()] == ["", "all", "even", "odd"]


def test_undefined_values_are_null_in_json() -> None:
    comparison = compare_opinions([Opinion("a", 1.0), Opinion("b", 2.0)], {"a": 0.5})
    document = json.loads(json.dumps(comparison.document(), allow_nan=False))
    assert (document["n"], document["srcc"], document["srcc_interval_95"]) == (1, None, [None, None])
    assert compare_pairs([], {}).document()["accuracy"] is None


def test_ties_count_as_wrong_and_unscored_pairs_not_at_all() -> None:
    pairs = [Pair("a", "b", "x"), Pair("b", "a", "x"), Pair("a", "c", "y"), Pair("a", "gone", "y")]
    comparison = compare_pairs(pairs, {"a": 0.7, "b": 0.2, "c": 0.7})
    total, part = comparison.total, comparison.parts["y"]
    assert isinstance(total, PairAccuracy)
    assert isinstance(part, PairAccuracy)
    assert (total.n, total.right, total.ties) == (3, 1, 1)
    assert total.accuracy == pytest.approx(1 / 3)
    assert (part.n, part.right, part.ties) == (1, 0, 1)


def test_wilson_interval() -> None:
    assert wilson_interval(37, 57) == pytest.approx((0.5194, 0.7600), abs=1e-4)
    assert wilson_interval(10, 10)[1] == pytest.approx(1.0)
    assert wilson_interval(0, 10)[0] == pytest.approx(0.0)
    assert all(math.isnan(end) for end in wilson_interval(0, 0))


def test_baselines_follow_their_formulas() -> None:
    image = np.random.default_rng(0).integers(0, 256, (9, 11, 1), dtype=np.uint8).repeat(3, 2)
    grey = np.pad(image[:, :, 0].astype(float), 1, mode="reflect")
    middle = grey[1:-1, 1:-1]
    laplacian = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:] - 4 * middle
    assert laplacian_variance(image) == pytest.approx(laplacian.var())
    across = grey[:, 2:] - grey[:, :-2]
    down = grey[2:] - grey[:-2]
    gradient_x = across[:-2] + 2 * across[1:-1] + across[2:]
    gradient_y = down[:, :-2] + 2 * down[:, 1:-1] + down[:, 2:]
    assert tenengrad(image) == pytest.approx((gradient_x**2 + gradient_y**2).mean())


@pytest.mark.parametrize("name", ["laplacian", "tenengrad"])
def test_baselines_rank_blur_and_take_any_picture(name: str) -> None:
    import cv2

    measure = BASELINES[name]
    sharp = np.random.default_rng(1).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    assert measure(sharp) > measure(cv2.GaussianBlur(sharp, (0, 0), 2)) > 0
    assert measure(np.full((1, 1, 3), 9, np.uint8)) == 0
    with pytest.raises(InvalidInput):
        measure(np.zeros((4, 4), np.uint8))


def test_brisque_is_turned_and_says_where_it_has_no_value() -> None:
    pytest.importorskip("brisque", reason="the extra baselines is not installed")
    import cv2

    from edge_iqa.benchmarks.pictures import embedded_photographs
    from edge_iqa.decode import read_image

    sharp = read_image(embedded_photographs() / "kodak15.jpg")[100:300, 100:300]
    measure = BASELINES["brisque"]
    assert measure(sharp) > measure(cv2.GaussianBlur(sharp, (0, 0), 3)) > -200
    for picture in (np.full((64, 64, 3), 128, np.uint8), np.zeros((1, 1, 3), np.uint8)):
        with pytest.raises(ImageError, match="no value"):
            measure(picture)
