"""Every bad picture file gets a named error, and what the decoders say of it is not printed."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_iqa import decode
from edge_iqa.decode import MAX_BYTES, decode_image, image_size, read_image
from edge_iqa.errors import ImageCorrupt, ImageError, ImageFormat, ImageTooLarge
from edge_iqa.image_header import check_complete, read_header

from .picture_files import CMYK_JPEG, LOSSLESS, corners, damaged_jpeg, encoded, exif, png, scene, tiff, with_exif

pytestmark = pytest.mark.usefixtures("nothing_on_stderr")


def never(*_: object) -> None:
    raise AssertionError("pixels were decoded")


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
    decode_image(good, "a")  # passes on a line whose writer was interrupted
    assert sorted(capfd.readouterr().err.splitlines(keepends=True)) == sorted(written)


# A descriptor taken during a decoding stands for a thread that was interrupted in the middle of writing, and for a
# child process that was started then.
LATE_WRITER = """
import os, sys
import cv2
from edge_iqa.decode import decode_image
data, decode, taken = sys.stdin.buffer.read(), cv2.imdecode, []
def imdecode(*arguments):
    taken.append(os.dup(2))
    return decode(*arguments)
cv2.imdecode = imdecode
decode_image(data, "a")
os.write(taken[0], b"a late line\\nCorrupt JPEG data: of somebody else\\n")
"""


def test_a_line_that_is_written_too_late_is_passed_on_by_the_next_decoding() -> None:
    program = LATE_WRITER + "print(decode_image(data, 'a').shape, flush=True)\nos._exit(0)\n"
    done = subprocess.run(
        [sys.executable, "-c", program], input=encoded("png", scene()), capture_output=True, check=True
    )
    assert done.stdout.strip() == b"(48, 64, 3)"
    assert done.stderr == b"a late line\nCorrupt JPEG data: of somebody else\n"


def test_a_line_that_is_written_too_late_is_passed_on_at_exit() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LATE_WRITER], input=encoded("png", scene()), capture_output=True, check=True
    )
    assert done.stderr == b"a late line\nCorrupt JPEG data: of somebody else\n"


def test_many_messages_do_not_fill_the_memory() -> None:
    program = (
        "import os, sys\n"
        "import cv2\n"
        "from edge_iqa import decoder_messages\n"
        "for _ in range(50):\n"
        "    with decoder_messages.library_messages([]):\n"
        "        os.write(2, 400_000 * b'x' + b'\\n')\n"
        "    print(os.fstat(decoder_messages._file.descriptor).st_size)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    sizes = [int(line) for line in done.stdout.split()]
    assert max(sizes) < 2_000_000
    assert done.stderr == 50 * (400_000 * b"x" + b"\n")


def test_a_forked_child_reads_its_own_messages() -> None:
    program = (
        "import os, sys\n"
        "from edge_iqa.decode import decode_image\n"
        "from edge_iqa.errors import ImageError\n"
        "data = sys.stdin.buffer.read()\n"
        "def verdict():\n"
        "    try:\n"
        "        decode_image(data, 'a')\n"
        "    except ImageError as error:\n"
        "        return error.code\n"
        "print(verdict(), flush=True)\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    print(verdict(), flush=True)\n"
        "    os._exit(0)\n"
        "os.waitpid(child, 0)\n"
        "print(verdict(), flush=True)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], input=damaged_jpeg(), capture_output=True, check=True)
    assert done.stdout.split() == [b"E204"] * 3
    assert done.stderr == b""


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
