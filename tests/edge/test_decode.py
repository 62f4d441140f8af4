"""Every good picture file gives the right colours, every bad one a named error, and nothing is printed."""

from __future__ import annotations

import base64
import errno
import os
import struct
import subprocess
import sys
import threading
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge_iqa import decode
from edge_iqa.decode import MAX_BYTES, decode_image, image_size, read_image
from edge_iqa.errors import (
    ImageCorrupt,
    ImageError,
    ImageFormat,
    ImageNotFound,
    ImageTooLarge,
    ImageUnreadable,
)
from edge_iqa.image_header import check_complete, read_header

# 16x8 pixels: the left half is RGB (200, 100, 40), the right half (30, 120, 220); Adobe's inverted inks.
CMYK_JPEG = base64.b64decode(
    "/9j/7gAOQWRvYmUAZAAAAAAA/9sAQwACAQEBAQECAQEBAgICAgIEAwICAgIFBAQDBAYFBgYGBQYGBgcJCAYHCQcGBggLCAkKCgoK"
    "CgYICwwLCgwJCgoK/8AAFAgACAAQBEMRAE0RAFkRAEsRAP/EABcAAAMBAAAAAAAAAAAAAAAAAAcJCgD/xAAUEAEAAAAAAAAAAAAA"
    "AAAAAAAA/9oADgRDAE0AWQBLAAA/AGQAeU+f4lXFBWgz/9k="
)
YCCK_JPEG = base64.b64decode(
    "/9j/7gAOQWRvYmUAZAAAAAAC/9sAQwACAQEBAQECAQEBAgICAgIEAwICAgIFBAQDBAYFBgYGBQYGBgcJCAYHCQcGBggLCAkKCgoK"
    "CgYICwwLCgwJCgoK/8AAFAgACAAQBEMRAE0RAFkRAEsRAP/EABgAAAIDAAAAAAAAAAAAAAAAAAgJAAUH/8QAFBABAAAAAAAAAAAA"
    "AAAAAAAAAP/aAA4EQwBNAFkASwAAPwCwF4CM/wAaYR+dgj//2Q=="
)
LOSSLESS = ("png", "bmp", "tiff", "ppm", "webp")


@pytest.fixture(autouse=True)
def _nothing_on_stderr(capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    yield
    assert capfd.readouterr().err == ""


def scene(height: int = 48, width: int = 64) -> NDArray[np.uint8]:
    """Return a smooth colourful RGB picture, the same each time."""
    coarse = np.random.default_rng(7).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)


def encoded(ending: str, rgb: NDArray[Any], *options: int) -> bytes:
    if ending == "webp":
        options = (cv2.IMWRITE_WEBP_QUALITY, 101)  # above 100: lossless
    bgr = rgb[:, :, ::-1] if rgb.ndim == 3 else rgb
    done, data = cv2.imencode(f".{ending}", np.ascontiguousarray(bgr), list(options))
    assert done
    return np.asarray(data).tobytes()


def chunk(kind: bytes, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload)) + kind + payload + struct.pack(">I", zlib.crc32(kind + payload))


def png(width: int, height: int, bits: int, colour: int, rows: bytes, before: bytes = b"", after: bytes = b"") -> bytes:
    """Build a PNG; ``rows`` are the raw rows, each after its filter byte 0."""
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    pixels = chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + before + pixels + after + chunk(b"IEND", b"")


def tiff(pixels: NDArray[Any], order: str = "<", **extra_tags: int) -> bytes:
    """Build an uncompressed one-strip TIFF; extra tags as ``t274=6``, each one SHORT."""
    height, width, channels = pixels.shape
    strip = pixels.astype(pixels.dtype.newbyteorder("<" if order == "<" else ">")).tobytes()
    bits = pixels.dtype.itemsize * 8
    short, long = 3, 4
    tags = {
        256: (long, width),
        257: (long, height),
        259: (short, 1),
        262: (short, 2 if channels >= 3 else 1),
        273: (long, 8),
        277: (short, channels),
        278: (long, height),
        279: (long, len(strip)),
    }
    tags |= {int(tag[1:]): (short, value) for tag, value in extra_tags.items()}
    bits_at = 8 + len(strip)
    directory_at = bits_at + 2 * channels
    data: bytes = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", directory_at) + strip
    data += struct.pack(order + "H", bits) * channels + struct.pack(order + "H", len(tags) + 1)
    for tag in sorted([*tags, 258]):
        if tag == 258:
            inline = struct.pack(order + "HH", bits, bits if channels == 2 else 0)
            value = inline if channels <= 2 else struct.pack(order + "I", bits_at)
            data += struct.pack(order + "HHI", tag, short, channels) + value
        else:
            kind, number = tags[tag]
            data += struct.pack(order + "HHI", tag, kind, 1)
            data += struct.pack(order + ("H2x" if kind == short else "I"), number)
    return data + b"\0\0\0\0"


def exif(orientation: int, order: str = "<") -> bytes:
    start = b"II*\0" if order == "<" else b"MM\0*"
    return start + struct.pack(order + "IHHHIH2xI", 8, 1, 0x0112, 3, 1, orientation, 0)


def with_exif(jpeg: bytes, payload: bytes) -> bytes:
    segment = b"Exif\0\0" + payload
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + jpeg[2:]


def damaged_jpeg() -> bytes:
    """Return a 200x160 JPEG whose container is whole and whose coded pixels are partly zeros."""
    data = encoded("jpg", scene(160, 200))
    middle = len(data) * 2 // 3
    return data[:middle] + bytes(100) + data[middle + 100 :]


def never(*_: object) -> None:
    raise AssertionError("pixels were decoded")


def corners() -> NDArray[np.uint8]:
    """Return 32x48 pixels: the stored top left is red, the top right green, the rest dark."""
    rgb = np.full((32, 48, 3), 20, np.uint8)
    rgb[:16, :16] = (220, 30, 30)
    rgb[:16, 32:] = (30, 220, 30)
    return rgb


def corner_names(rgb: NDArray[np.uint8]) -> tuple[str, str]:
    """Return where the red and the green corner are, as ``TL``, ``TR``, ``BL`` or ``BR``."""
    places = {"TL": rgb[4, 4], "TR": rgb[4, -5], "BL": rgb[-5, 4], "BR": rgb[-5, -5]}
    red = max(places, key=lambda place: int(places[place][0]) - int(places[place][1]))
    green = max(places, key=lambda place: int(places[place][1]) - int(places[place][0]))
    return red, green


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


# --- good pictures


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


# --- bad pictures


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        b"just some text\n",
        b"GIF89a" + bytes(20),
        b"\0\0\0\x18ftypheic" + bytes(20),
        b"P2\n1 1\n255\n0\n",
        b"BigM",
    ],
)
def test_not_an_accepted_format(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "renamed.jpg"
    path.write_bytes(data)
    with pytest.raises(ImageFormat, match=r"renamed\.jpg"):
        read_image(path)
    with pytest.raises(ImageFormat):
        image_size(data, "a")


def test_variants_that_are_not_decoded() -> None:
    jpeg = encoded("jpg", scene())
    frame = jpeg.index(b"\xff\xc0")
    lossless = jpeg[: frame + 1] + b"\xc3" + jpeg[frame + 2 :]
    twelve_bit = jpeg[: frame + 4] + b"\x0c" + jpeg[frame + 5 :]
    animated = b"RIFF" + struct.pack("<I", 22) + b"WEBPVP8X" + struct.pack("<IB3xHBHB", 10, 0x02, 9, 0, 9, 0)
    floating = encoded("tiff", scene().astype(np.float32))
    for data in (lossless, twelve_bit, animated, floating):
        with pytest.raises(ImageFormat):
            decode_image(data, "a")


@pytest.mark.parametrize("ending", ["jpg", *LOSSLESS])
def test_every_shortened_file_is_refused_before_decoding(ending: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = encoded(ending, scene())
    monkeypatch.setattr(cv2, "imdecode", never)
    for kept in [*range(12, len(data), max(1, len(data) // 60)), len(data) - 1]:
        with pytest.raises((ImageCorrupt, ImageFormat)) as caught:
            decode_image(data[:kept], "cut")
        assert kept < 16 or caught.type is ImageCorrupt, kept


def test_truncated_tiff_with_its_directory_first(monkeypatch: pytest.MonkeyPatch) -> None:
    data = tiff(scene())
    strip, directory = data[8 : 8 + scene().nbytes], data[8 + scene().nbytes + 6 :]
    moved_to = 8 + len(directory) + 6
    directory = directory.replace(struct.pack("<HHII", 273, 4, 1, 8), struct.pack("<HHII", 273, 4, 1, moved_to))
    bits_at = struct.pack("<HHII", 258, 3, 3, 8 + scene().nbytes)
    directory = directory.replace(bits_at, struct.pack("<HHII", 258, 3, 3, 8))
    whole = b"II*\0" + struct.pack("<I", 14) + struct.pack("<HHH", 8, 8, 8) + directory + strip
    np.testing.assert_array_equal(decode_image(whole, "a.tif"), scene())
    monkeypatch.setattr(cv2, "imdecode", never)
    with pytest.raises(ImageCorrupt):
        decode_image(whole[:-100], "a.tif")


def test_damage_inside_jpeg_pixels_is_noticed() -> None:
    data = damaged_jpeg()
    check_complete(data, read_header(data, "a"), "a")  # the container alone does not tell
    with pytest.raises(ImageCorrupt, match="Corrupt JPEG data"):
        decode_image(data, "a.jpg")


def test_damage_inside_png_pixels_is_noticed() -> None:
    data = bytearray(encoded("png", scene()))
    data[len(data) // 2] ^= 4
    with pytest.raises(ImageCorrupt, match="checksum"):
        decode_image(bytes(data), "a.png")


@pytest.mark.parametrize("rows", [b"\0", b"\0\1\2", b"\7\1\2\3"], ids=["no row", "short row", "unknown filter"])
def test_png_with_right_checksums_and_wrong_pixels(rows: bytes) -> None:
    with pytest.raises(ImageCorrupt):
        decode_image(png(1, 1, 8, 2, rows), "a.png")


def test_jpeg_with_endless_scans_is_refused() -> None:
    jpeg = encoded("jpg", scene())
    scan = jpeg[jpeg.index(b"\xff\xda") : -2]
    with pytest.raises(ImageCorrupt, match="scans"):
        decode_image(jpeg[:-2] + scan * 200 + jpeg[-2:], "a.jpg")


@pytest.mark.parametrize(
    "data",
    [
        png(20_000, 20_000, 8, 2, b"\0"),
        png(2_000_000, 1, 8, 0, bytes(2_000_001)),
        b"P5\n999999999 999999999\n255\n\0",
        b"BM" + struct.pack("<8xIIiiHHI", 54, 40, 40_000, -40_000, 1, 24, 0) + bytes(40),
    ],
    ids=["png", "png-one-long-row", "pnm", "bmp"],
)
def test_too_many_pixels_are_refused_before_decoding(data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cv2, "imdecode", never)
    with pytest.raises(ImageTooLarge):
        decode_image(data, "huge")
    assert image_size(data, "huge")[0] >= 20_000


def test_too_many_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "sparse.png"
    with path.open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    with pytest.raises(ImageTooLarge, match="256 MiB"):
        read_image(path)
    monkeypatch.setattr(decode, "MAX_BYTES", 100)
    with pytest.raises(ImageTooLarge):
        decode_image(encoded("png", scene()), "a")


def test_limits_set_for_opencv_are_named() -> None:
    program = (
        "import sys\n"
        "from edge_iqa.decode import decode_image\n"
        "from edge_iqa.errors import ImageTooLarge\n"
        "try:\n"
        "    decode_image(sys.stdin.buffer.read(), 'a')\n"
        "except ImageTooLarge as error:\n"
        "    print('OPENCV_IO_MAX_IMAGE_PIXELS' in error.fix)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        input=encoded("png", scene()),
        capture_output=True,
        check=True,
        env={**os.environ, "OPENCV_IO_MAX_IMAGE_PIXELS": "100"},
    )
    assert done.stdout.strip() == b"True"
    assert done.stderr == b""


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (cv2.error("OpenCV: Insufficient memory (Failed to allocate 9 bytes)"), ImageTooLarge),
        (MemoryError(), ImageTooLarge),
        (cv2.error("OpenCV: (-215:Assertion failed) something else"), ImageCorrupt),
    ],
)
def test_decoder_exceptions_are_named(
    raised: Exception, expected: type[ImageError], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise raised

    monkeypatch.setattr(cv2, "imdecode", fail)
    with pytest.raises(expected):
        decode_image(encoded("png", scene()), "a")


# --- paths


def test_missing_files(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    for path in (tmp_path / "no.jpg", tmp_path / "file" / "inside.jpg", tmp_path / "dangling", "a\0b.jpg"):
        with pytest.raises(ImageNotFound):
            read_image(path)


def test_what_is_not_a_file(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(ImageUnreadable, match="directory"):
        read_image(tmp_path)
    with pytest.raises(ImageUnreadable):
        read_image(tmp_path / "loop")
    with pytest.raises(ImageUnreadable):
        read_image("x" * 5000)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_pipes_and_devices_do_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    for path in (tmp_path / "pipe.jpg", "/dev/zero"):
        with pytest.raises(ImageUnreadable, match="device"):
            read_image(path)


def test_links_are_followed(tmp_path: Path) -> None:
    (tmp_path / "real.png").write_bytes(encoded("png", scene()))
    (tmp_path / "link").symlink_to(tmp_path / "real.png")
    np.testing.assert_array_equal(read_image(tmp_path / "link"), scene())


@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may read every file")
def test_no_permission(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(encoded("png", scene()))
    path.chmod(0)
    with pytest.raises(ImageUnreadable, match="permission"):
        read_image(path)


@pytest.mark.parametrize("code", [errno.EACCES, errno.EIO])
def test_refused_by_the_system(code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    path = tmp_path / "a.png"
    path.write_bytes(encoded("png", scene()))
    monkeypatch.setattr("builtins.open", refuse)
    with pytest.raises(ImageUnreadable) as caught:
        read_image(path)
    assert caught.value.why == os.strerror(code)


@pytest.mark.skipif(sys.platform != "linux", reason="file names are text on other systems")
def test_names_that_are_not_text(tmp_path: Path) -> None:
    good = os.fsencode(tmp_path) + b"/\xff\xfe.png"
    Path(os.fsdecode(good)).write_bytes(encoded("png", scene()))
    np.testing.assert_array_equal(read_image(os.fsdecode(good)), scene())
    with pytest.raises(ImageNotFound) as caught:
        read_image(os.fsdecode(good + b"\x1b[31m\n"))
    shown = caught.value.what
    assert shown.isprintable()
    assert shown.encode("utf-8").endswith(rb"\xff\xfe.png\x1b[31m\n")


# --- the standard error


def test_threads_get_their_own_verdict_and_lose_no_lines(capfd: pytest.CaptureFixture[str]) -> None:
    good = encoded("jpg", scene(160, 200))
    damaged = damaged_jpeg()
    finished = threading.Event()
    written: list[str] = []

    def talk() -> None:
        while not finished.wait(0.0005):
            line = f"a line of another thread, number {len(written)}\n"
            os.write(2, line.encode())
            written.append(line)

    def verdict(data: bytes) -> str:
        try:
            return str(decode_image(data, "a").shape)
        except ImageError as error:
            return error.code

    talker = threading.Thread(target=talk)
    talker.start()
    try:
        with ThreadPoolExecutor(4) as pool:
            verdicts = list(pool.map(verdict, [good, damaged] * 40))
    finally:
        finished.set()
        talker.join()
    assert verdicts == ["(160, 200, 3)", "E204"] * 40
    assert written
    assert sorted(capfd.readouterr().err.splitlines(keepends=True)) == sorted(written)


def test_works_without_a_standard_error() -> None:
    program = (
        "import os, sys\n"
        "from edge_iqa.decode import decode_image\n"
        "os.close(2)\n"
        "print(decode_image(sys.stdin.buffer.read(), 'a').shape)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], input=encoded("png", scene()), stdout=subprocess.PIPE, check=True
    )
    assert done.stdout.strip() == b"(48, 64, 3)"


# --- anything at all


VICTIMS = {ending: encoded(ending, scene()) for ending in ("jpg", *LOSSLESS)} | {
    "progressive": encoded("jpg", scene(), cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
    "cmyk": CMYK_JPEG,
    "rotated": with_exif(encoded("jpg", corners()), exif(6)),
    "plain-tiff": tiff(scene()),
}


@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    victim=st.sampled_from(sorted(VICTIMS)),
    flips=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(1, 255)), max_size=6),
    start=st.integers(0, 200),
    kept=st.one_of(st.just(1.0), st.floats(0, 1)),
)
def test_any_damage_gives_a_picture_or_a_named_error(
    victim: str, flips: list[tuple[float, int]], start: int, kept: float
) -> None:
    data = bytearray(VICTIMS[victim])
    for where, bits in flips:
        in_header = bits % 2 == 0
        data[int(where * min(len(data), start + 1 if in_header else len(data)))] ^= bits
    data = data[: int(kept * len(data))]
    try:
        rgb = decode_image(bytes(data), "a")
    except ImageError:
        return
    assert rgb.dtype == np.uint8
    assert rgb.ndim == 3
    assert rgb.shape[2] == 3


@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    signature=st.sampled_from(
        [b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF\x40\0\0\0WEBPVP8 ", b"II*\0", b"BM", b"P6 "]
    ),
    rest=st.binary(max_size=200),
)
def test_a_signature_before_noise_gives_a_named_error(signature: bytes, rest: bytes) -> None:
    with pytest.raises(ImageError):
        decode_image(signature + rest, "a")
