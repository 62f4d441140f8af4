"""Every good picture file gives the right colours, the right way up, and nothing is printed."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edge_iqa.decode import decode_image, image_size, read_image

from .picture_files import (
    CMYK_JPEG,
    LOSSLESS,
    YCCK_JPEG,
    chunk,
    corners,
    encoded,
    exif,
    png,
    scene,
    tiff,
    with_exif,
)

pytestmark = pytest.mark.usefixtures("nothing_on_stderr")

# Exif 2.32, tag 0x0112: where the stored first row and first column are shown.
SHOWN_CORNERS = {
    1: ("TL", "TR"),
    2: ("TR", "TL"),
    3: ("BR", "BL"),
    4: ("BL", "BR"),
    5: ("TL", "BL"),
    6: ("TR", "BR"),
    7: ("BR", "TR"),
    8: ("BL", "TL"),
}


def corner_names(rgb: NDArray[np.uint8]) -> tuple[str, str]:
    """Return where the red and the green corner are, as ``TL``, ``TR``, ``BL`` or ``BR``."""
    places = {"TL": rgb[4, 4], "TR": rgb[4, -5], "BL": rgb[-5, 4], "BR": rgb[-5, -5]}
    red = max(places, key=lambda place: int(places[place][0]) - int(places[place][1]))
    green = max(places, key=lambda place: int(places[place][1]) - int(places[place][0]))
    return red, green


@pytest.mark.parametrize("ending", LOSSLESS)
def test_lossless_formats_come_back_exactly_in_rgb_order(ending: str, tmp_path: Path) -> None:
    path = tmp_path / "no_ending_needed"
    path.write_bytes(encoded(ending, scene()))
    rgb = read_image(path)
    assert rgb.dtype == np.uint8
    assert rgb.flags.c_contiguous
    np.testing.assert_array_equal(rgb, scene())
    np.testing.assert_array_equal(read_image(str(path)), rgb)


@pytest.mark.parametrize("options", [(), (cv2.IMWRITE_JPEG_PROGRESSIVE, 1), (cv2.IMWRITE_JPEG_RST_INTERVAL, 2)])
def test_baseline_progressive_and_restarted_jpeg(options: tuple[int, ...]) -> None:
    rgb = decode_image(encoded("jpg", scene(), *options), "a.jpg")
    assert np.abs(rgb.astype(int) - scene()).mean() < 4


def test_bytes_after_the_end_are_allowed() -> None:
    for ending in ("jpg", "png", "webp"):
        data = encoded(ending, scene())
        np.testing.assert_array_equal(decode_image(data + data[:50], "a"), decode_image(data, "a"))


@pytest.mark.parametrize("ending", ["jpg", *LOSSLESS])
def test_size_is_read_from_the_header(ending: str) -> None:
    data = encoded(ending, scene(30, 50))
    assert image_size(data, "a") == (50, 30)
    if ending in {"jpg", "png", "webp", "bmp", "ppm"}:
        assert image_size(data[: len(data) * 3 // 4], "a") == (50, 30)


def test_lossy_webp_size_and_colours() -> None:
    data = bytes(cv2.imencode(".webp", scene()[:, :, ::-1], [cv2.IMWRITE_WEBP_QUALITY, 90])[1])
    assert image_size(data, "a") == (64, 48)
    assert np.abs(decode_image(data, "a").astype(int) - scene()).mean() < 5


def test_one_pixel() -> None:
    rgb = decode_image(png(1, 1, 8, 2, b"\0\x01\x02\x03"), "dot.png")
    assert rgb.tolist() == [[[1, 2, 3]]]


def test_16_bit_samples_are_rounded_not_cut() -> None:
    samples = [0, 128, 129, 255, 256, 32767, 65406, 65407, 65535]
    rows = b"\0" + struct.pack(f">{len(samples)}H", *samples)
    expected = [round(sample / 257) for sample in samples]
    grey = decode_image(png(len(samples), 1, 16, 0, rows), "deep.png")
    assert grey[0].tolist() == [[level] * 3 for level in expected]
    array = np.array(samples, np.uint16).reshape(1, -1, 1)
    for order in "<>":
        np.testing.assert_array_equal(decode_image(tiff(array, order), "deep.tif"), grey)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(png(2, 1, 8, 0, b"\0\x0a\xc8"), [10] * 3 + [200] * 3, id="grey"),
        pytest.param(png(2, 1, 8, 4, b"\0\x0a\x00\xc8\xff"), [10] * 3 + [200] * 3, id="grey-alpha"),
        pytest.param(png(2, 1, 8, 6, b"\0\x01\x02\x03\x00\x04\x05\x06\x80"), [1, 2, 3, 4, 5, 6], id="rgba"),
        pytest.param(png(8, 1, 1, 0, b"\0\xc0"), [255] * 6 + [0] * 18, id="one-bit"),
        pytest.param(
            png(2, 1, 8, 3, b"\0\x00\x01", chunk(b"PLTE", bytes([1, 2, 3, 4, 5, 6])) + chunk(b"tRNS", b"\0")),
            [1, 2, 3, 4, 5, 6],
            id="palette-transparent",
        ),
        pytest.param(png(1, 1, 8, 2, b"\0\1\2\3", chunk(b"iCCP", b"x\0\0junk")), [1, 2, 3], id="broken-profile"),
        pytest.param(b"P6\n# note\n1 1\n255\n\x01\x02\x03", [1, 2, 3], id="ppm"),
        pytest.param(b"P5 2 1 15\n\x00\x0f", [0] * 3 + [255] * 3, id="pgm-4-bit-values"),
        pytest.param(b"P5\n2 1\n1023\n\x03\xff\x02\x00", [255] * 3 + [128] * 3, id="pgm-10-bit-values"),
        pytest.param(b"P4\n2 1\n\x40", [255] * 3 + [0] * 3, id="pbm"),
    ],
)
def test_sample_layouts(data: bytes, expected: list[int]) -> None:
    assert decode_image(data, "a").reshape(-1).tolist() == expected


@pytest.mark.parametrize("extra", [b"", chunk(b"bKGD", bytes([0, 9, 0, 9, 0, 9])), chunk(b"fcTL", b"xx")])
def test_animated_png_gives_its_still_picture(extra: bytes) -> None:
    control = struct.pack(">IIIIIHHBB", 0, 1, 1, 0, 0, 1, 10, 0, 0)
    frame = chunk(b"fdAT", struct.pack(">I", 1) + zlib.compress(b"\0\x63\x63\x63"))
    animation = chunk(b"acTL", struct.pack(">II", 1, 0))
    data = png(1, 1, 8, 2, b"\0\1\2\3", before=animation + extra, after=chunk(b"fcTL", control) + frame)
    assert decode_image(data, "a.png").tolist() == [[[1, 2, 3]]]


@pytest.mark.parametrize("extra_samples", [0, 1, 2])
def test_tiff_alpha_does_not_change_the_colours(extra_samples: int) -> None:
    rgba = np.array([[[200, 100, 40, 100], [30, 120, 220, 0]]], np.uint8)
    for order in "<>":
        rgb = decode_image(tiff(rgba, order, t338=extra_samples), "a.tif")
        np.testing.assert_array_equal(rgb, rgba[:, :, :3])


@pytest.mark.parametrize("data", [CMYK_JPEG, YCCK_JPEG], ids=["cmyk", "ycck"])
def test_four_ink_jpeg(data: bytes) -> None:
    rgb = decode_image(data, "ink.jpg").astype(int)
    assert rgb.shape == (8, 16, 3)
    assert np.abs(rgb[:, :8] - (200, 100, 40)).max() <= 2
    assert np.abs(rgb[:, 8:] - (30, 120, 220)).max() <= 2


@pytest.mark.parametrize("orientation", SHOWN_CORNERS)
@pytest.mark.parametrize("order", ["<", ">"])
def test_orientation_is_applied(orientation: int, order: str) -> None:
    note = exif(orientation, order)
    webp = encoded("webp", corners())
    extended = b"VP8X" + struct.pack("<IB3xHBHB", 10, 0x08, 47, 0, 31, 0)
    body = b"WEBP" + extended + webp[12:] + b"EXIF" + struct.pack("<I", len(note)) + note
    rows = b"".join(b"\0" + row.tobytes() for row in corners())
    files = {
        "jpeg": with_exif(encoded("jpg", corners()), note),
        "png": png(48, 32, 8, 2, rows, after=chunk(b"eXIf", note)),
        "webp": b"RIFF" + struct.pack("<I", len(body)) + body,
        "tiff": tiff(corners(), order, t274=orientation),
        "tiff16": tiff(corners().astype(np.uint16) * 257, order, t274=orientation),
    }
    for kind, data in files.items():
        rgb = decode_image(data, kind)
        assert rgb.shape == ((32, 48, 3) if orientation < 5 else (48, 32, 3)), kind
        assert corner_names(rgb) == SHOWN_CORNERS[orientation], kind
        assert image_size(data, kind) == (48, 32), kind


@pytest.mark.parametrize("note", [b"", b"II*\0", exif(0), exif(9), exif(6)[:-8], b"XX" + exif(6)[2:]])
def test_broken_exif_does_not_cost_the_picture(note: bytes) -> None:
    assert decode_image(with_exif(encoded("jpg", corners()), note), "a").shape == (32, 48, 3)
