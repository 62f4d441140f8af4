"""Published datasets: each tiny copy of a layout is read as its authors mean it, and other folders are refused."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import openpyxl
import pytest
import scipy.io

from edge_iqa.benchmarks.datasets import base, resolution
from edge_iqa.benchmarks.datasets.registry import DATASETS, find_dataset
from edge_iqa.benchmarks.opinion_tables import Opinion
from edge_iqa.errors import DatasetLayout, InvalidInput

Maker = Callable[[Path], dict[str, tuple[float, str | None]]]


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"")


def cells(values: list[str]) -> np.ndarray:
    """Return what scipy writes as a MATLAB cell array of text, one per row."""
    array = np.empty((len(values), 1), dtype=object)
    array[:, 0] = values
    return array


def make_live(root: Path) -> dict[str, tuple[float, str | None]]:
    counts = {"jp2k": 3, "jpeg": 2, "wn": 11, "gblur": 1, "fastfading": 1}
    for folder, count in counts.items():
        touch(root, *(f"{folder}/img{number}.bmp" for number in range(1, count + 1)), f"{folder}/info.txt")
    scores = np.arange(18.0)[None]
    pristine = np.zeros((1, 18), np.uint8)
    pristine[0, [1, 17]] = 1
    scipy.io.savemat(root / "dmos_realigned.mat", {"dmos_new": scores, "dmos_std": scores, "orgs": pristine})
    wanted: dict[str, tuple[float, str | None]] = {"jp2k/img1.bmp": (-0.0, "jp2k"), "jp2k/img3.bmp": (-2.0, "jp2k")}
    wanted |= {"jpeg/img1.bmp": (-3.0, "jpeg"), "jpeg/img2.bmp": (-4.0, "jpeg"), "gblur/img1.bmp": (-16.0, "gblur")}
    return wanted | {f"wn/img{number}.bmp": (-4.0 - number, "wn") for number in range(1, 12)}


CSIQ_ROWS = [
    (1600, 1, "noise", 1, 0.1, 0.062),
    ("aerial_city", 1, "noise", 2, 0.1, 0.2),
    ("aerial_city", 2, "jpeg", 5, 0.1, 0.9),
    ("aerial_city", 3, "jpeg 2000", 3, 0.1, 0.4),
    ("aerial_city", 4, "fnoise", 4, 0.1, 0.5),
    ("aerial_city", 5, "blur", 1, 0.1, 0.0),
    ("aerial_city", 6, "contrast", 2, 0.1, 0.3),
]
CSIQ_WANTED: dict[str, tuple[float, str | None]] = {
    "awgn/1600.AWGN.1.png": (-0.062, "awgn"),
    "awgn/aerial_city.AWGN.2.png": (-0.2, "awgn"),
    "jpeg/aerial_city.JPEG.5.png": (-0.9, "jpeg"),
    "jpeg2000/aerial_city.jpeg2000.3.png": (-0.4, "jpeg2000"),
    "fnoise/aerial_city.fnoise.4.png": (-0.5, "fnoise"),
    "blur/aerial_city.BLUR.1.png": (-0.0, "blur"),
    "contrast/aerial_city.contrast.2.png": (-0.3, "contrast"),
}


def make_csiq(root: Path) -> dict[str, tuple[float, str | None]]:
    workbook = openpyxl.Workbook()
    workbook.active.title = "readme"
    sheet = workbook.create_sheet("all_by_image")
    for _ in range(3):
        sheet.append([None])
    sheet.append([None, None, None, "image", "dst_idx", "dst_type", "dst_lev", "dmos_std", "dmos"])
    for row in CSIQ_ROWS:
        sheet.append([None, None, None, *row])
    sheet.append([None] * 9)
    workbook.save(root / "csiq.DMOS.xlsx")
    touch(root, *(f"dst_imgs/{name}" for name in CSIQ_WANTED), "dst_imgs/jpeg/aerial_city.JPEG.1.png")
    return {f"dst_imgs/{name}": value for name, value in CSIQ_WANTED.items()}


def make_csiq_label(root: Path) -> dict[str, tuple[float, str | None]]:
    lines = [f"{name.split('/')[1]} {-score}" for name, (score, _) in CSIQ_WANTED.items()]
    (root / "csiq_label.txt").write_text("\n".join(lines) + "\n")
    wanted = {f"dst_imgs_all/{name.split('/')[1]}": value for name, value in CSIQ_WANTED.items()}
    touch(root, *wanted)
    return wanted


def make_tid2013(root: Path) -> dict[str, tuple[float, str | None]]:
    (root / "mos_with_names.txt").write_text("5.51429 I01_01_1.bmp\n5.56757 i01_01_2.bmp\r\n0.5 I25_24_5.bmp\n")
    touch(root, "distorted_images/i01_01_1.bmp", "distorted_images/I01_01_2.BMP")
    return {
        "distorted_images/i01_01_1.bmp": (5.51429, "01"),
        "distorted_images/I01_01_2.BMP": (5.56757, "01"),
        "distorted_images/I25_24_5.bmp": (0.5, "24"),  # not on disk: stays as listed, and is counted as failed
    }


def make_kadid10k(root: Path) -> dict[str, tuple[float, str | None]]:
    rows = "dist_img,ref_img,dmos,var\nI01_01_01.png,I01.png,4.57,0.496\nI81_25_05.png,I81.png,1.2,0.3\n"
    (root / "dmos.csv").write_text(rows)
    touch(root, "images/I01_01_01.png")
    return {"images/I01_01_01.png": (4.57, "01"), "images/I81_25_05.png": (1.2, "25")}


def make_clive(root: Path) -> dict[str, tuple[float, str | None]]:
    names = [f"t{number}.bmp" for number in range(1, 8)] + ["3.bmp", "1038.JPG"]
    touch(root, "Images/3.bmp", "Images/trainingImages/t1.bmp", "Data/readme.txt")
    scipy.io.savemat(root / "Data" / "AllImages_release.mat", {"AllImages_release": cells(names)})
    scipy.io.savemat(root / "Data" / "AllMOS_release.mat", {"AllMOS_release": np.arange(9.0)[None] * 10})
    return {"Images/3.bmp": (70.0, None), "Images/1038.JPG": (80.0, None)}


def make_koniq10k(root: Path) -> dict[str, tuple[float, str | None]]:
    head = '"image_name","c1","c2","c3","c4","c5","c_total","MOS","SD","MOS_zscore"\n'
    rows = '"1.jpg",0,0,25,73,7,105,3.8,0.5,77.3\n"2.jpg",0,0,1,2,3,6,4.1,0.5,12.5\n'
    (root / "koniq10k_scores_and_distributions.csv").write_text(head + rows)
    touch(root, "1024x768/1.jpg")
    return {"1024x768/1.jpg": (77.3, None), "1024x768/2.jpg": (12.5, None)}


def make_koniq10k_split(root: Path) -> dict[str, tuple[float, str | None]]:
    wanted = make_koniq10k(root)
    (root / "koniq10k_distributions_sets.csv").write_text('"image_name","MOS","SD","set"\n"1.jpg",3.8,0.5,"test"\n')
    return wanted | {"1024x768/1.jpg": (77.3, "test")}


def make_flive(root: Path) -> dict[str, tuple[float, str | None]]:
    (root / "labels_image.csv").write_text("name,mos\nvoc_emotic_ava/AVA__149.jpg,76.3\nblur_dataset/o.jpg,50\n")
    touch(root, "database/voc_emotic_ava/AVA__149.jpg")
    return {
        "database/voc_emotic_ava/AVA__149.jpg": (76.3, "voc_emotic_ava"),
        "database/blur_dataset/o.jpg": (50.0, "blur_dataset"),
    }


def make_spaq(root: Path) -> dict[str, tuple[float, str | None]]:
    workbook = openpyxl.Workbook()
    workbook.active.append(["Image name", "MOS", "Brightness", "Colorfulness", "Contrast", "Noisiness", "Sharpness"])
    workbook.active.append(["00001.jpg", 37.08, 41, 41, 46, 47, 40])
    workbook.active.append(["00002.jpg", 55, 41, 41, 46, 47, 40])
    touch(root, "TestImage/00001.jpg", "Annotations/readme.txt")
    workbook.save(root / "Annotations" / "MOS and Image attribute scores.xlsx")
    return {"TestImage/00001.jpg": (37.08, None), "TestImage/00002.jpg": (55.0, None)}


LAYOUTS: dict[str, tuple[str, Maker]] = {
    "live": ("live", make_live),
    "csiq": ("csiq", make_csiq),
    "csiq, list": ("csiq", make_csiq_label),
    "tid2013": ("tid2013", make_tid2013),
    "kadid10k": ("kadid10k", make_kadid10k),
    "clive": ("clive", make_clive),
    "koniq10k": ("koniq10k", make_koniq10k),
    "koniq10k, split": ("koniq10k", make_koniq10k_split),
    "flive": ("flive", make_flive),
    "spaq": ("spaq", make_spaq),
}


def test_every_dataset_has_a_layout_here() -> None:
    assert {name for name, _ in LAYOUTS.values()} == set(DATASETS)
    assert all(dataset.facts.resolution in resolution.RULES for dataset in DATASETS.values())
    assert {name for name, dataset in DATASETS.items() if dataset.facts.negated} == {"live", "csiq"}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layout_is_read_with_higher_for_better(layout: str, tmp_path: Path) -> None:
    name, make = LAYOUTS[layout]
    wanted = make(tmp_path)
    loaded = find_dataset(name).load(tmp_path)
    assert {row.file: (row.opinion, row.subset) for row in loaded.opinions} == wanted
    assert len(loaded.opinions) == len(wanted)
    assert all(path.is_file() for path in loaded.label_files)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_each_missing_part_is_named(layout: str, tmp_path: Path) -> None:
    name, make = LAYOUTS[layout]
    with pytest.raises(DatasetLayout) as caught:
        find_dataset(name).load(tmp_path)
    assert caught.value.code == "E103"
    assert "is published as" in caught.value.why
    make(tmp_path)
    label_files = find_dataset(name).load(tmp_path).label_files
    label_files[0].write_bytes(b"\x00broken\xff")
    with pytest.raises(DatasetLayout):
        find_dataset(name).load(tmp_path)


def test_live_needs_every_picture_because_scores_go_by_place(tmp_path: Path) -> None:
    make_live(tmp_path)
    (tmp_path / "wn" / "img2.bmp").unlink()
    with pytest.raises(DatasetLayout, match="18 scores"):
        find_dataset("live").load(tmp_path)


def test_scores_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    make_clive(tmp_path)
    scores = np.full((1, 9), math.nan)
    scipy.io.savemat(tmp_path / "Data" / "AllMOS_release.mat", {"AllMOS_release": scores})
    with pytest.raises(DatasetLayout, match=r"3\.bmp"):
        find_dataset("clive").load(tmp_path)


@pytest.mark.parametrize("file", ["../secret.png", "/etc/passwd", "a/../../b.png"])
def test_names_outside_the_root_are_refused(file: str, tmp_path: Path) -> None:
    facts = DATASETS["kadid10k"].facts
    with pytest.raises(DatasetLayout, match="lists"):
        base.finished(facts, tmp_path, [Opinion(file, 1.0)], [tmp_path / "dmos.csv"])


@pytest.mark.parametrize("name", ["KADID-10k", "koniq_10k", "LIVE Challenge", "tid2013"])
def test_names_are_found_as_people_write_them(name: str) -> None:
    assert find_dataset(name).facts.name in DATASETS


def test_unknown_names_list_the_known() -> None:
    with pytest.raises(InvalidInput) as caught:
        find_dataset("mnist")
    assert "live, csiq, tid2013" in caught.value.fix


def test_resolution_rules() -> None:
    wide = np.random.default_rng(0).integers(0, 256, (600, 1200, 3), dtype=np.uint8)
    small = wide[:100, :300]
    assert resolution.RULES["full"].apply(wide) is wide
    assert resolution.RULES["512x512"].apply(wide).shape == (512, 512, 3)
    assert resolution.RULES["512x512"].apply(small).shape == (512, 512, 3)
    assert resolution.RULES["shorter-512"].apply(wide).shape == (512, 1024, 3)
    assert resolution.RULES["shorter-512"].apply(wide.transpose(1, 0, 2)).shape == (1024, 512, 3)
    assert resolution.RULES["shorter-512"].apply(small) is small
    flat = np.full((700, 900, 3), (10, 20, 30), np.uint8)
    np.testing.assert_array_equal(resolution.RULES["shorter-512"].apply(flat)[5, 5], [10, 20, 30])
