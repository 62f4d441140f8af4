"""Read one picture file safely: bytes on disk to uint8 RGB, or an error that tells which file and why.

What the picture is taken to be, where formats leave a choice:

* Colours are the stored ones: no colour profile or gamma is applied, CMYK is turned into RGB.
* Alpha is ignored, never composited: a camera's frame has none, and any background would be scored too.
* Samples of other depths are scaled linearly to 0..255 and rounded (16-bit, and PNM with any largest value).
* The Exif orientation of JPEG, PNG and WebP and the TIFF orientation are applied. ``image_size`` gives the
  stored size, before that rotation.
* Of a multi-page TIFF the first page, of an animated PNG its still picture; an animated WebP is refused.

OpenCV returns a picture with a grey or garbled part when a JPEG is damaged, and only the lines that libjpeg
writes to the standard error tell. So the container is walked first (``image_header``), and the lines written
during decoding are read: one that reports damage refuses the picture. JPEG has no checksum, so that a changed
bit that still decodes cannot be noticed.
"""

from __future__ import annotations

import os
import re
import stat
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_iqa.decoder_messages import library_messages
from edge_iqa.errors import (
    ImageCorrupt,
    ImageError,
    ImageFormat,
    ImageNotFound,
    ImageTooLarge,
    ImageUnreadable,
    MissingDependency,
)
from edge_iqa.image_header import ImageHeader, check_complete, exif_orientation, pixel_data, read_header

MAX_PIXELS = 100_000_000
MAX_SIDE = 1_000_000  # libpng's own limit, here for every format
MAX_BYTES = 256 * 1024 * 1024

_DAMAGE_LINE = re.compile(
    rb"Corrupt JPEG data|Premature end of JPEG|Inconsistent progression|libpng error|PackBitsDecode|\[ *ERROR"
)


def read_image(path: str | os.PathLike[str]) -> NDArray[np.uint8]:
    """Return the picture at ``path`` as uint8 RGB of shape ``(H, W, 3)``, values 0..255.

    Links are followed. Raises ``ImageNotFound``, ``ImageUnreadable`` (a directory, a pipe, a device, no
    permission), ``ImageFormat``, ``ImageCorrupt`` or ``ImageTooLarge``.
    """
    name = _printable(os.fspath(path))
    return decode_image(_read_bytes(path, name), name)


def decode_image(data: bytes, name: str) -> NDArray[np.uint8]:
    """Return the picture in ``data`` as uint8 RGB of shape ``(H, W, 3)``, values 0..255.

    ``name`` is for messages. Raises ``ImageFormat``, ``ImageCorrupt`` or ``ImageTooLarge``; the last before
    any pixel is decoded. May be called from several threads, but one picture at a time is decoded in a
    process: the C libraries' messages can be told apart in no other way.
    """
    name = _printable(name)
    if len(data) > MAX_BYTES:
        raise _too_many_bytes(name, len(data))
    header = read_header(data, name)
    if header.width * header.height > MAX_PIXELS or max(header.width, header.height) > MAX_SIDE:
        raise ImageTooLarge(
            f"{name} is {header.width}x{header.height} pixels",
            why=f"the limit is {MAX_PIXELS // 10**6} megapixels and {MAX_SIDE} pixels a side",
            fix="scale the picture down first",
        )
    check_complete(data, header, name)
    pixels = _decode_pixels(pixel_data(data, header.format), header, name)
    rgb = _to_uint8_rgb(pixels, header.sample_max)
    return np.ascontiguousarray(_upright(rgb, exif_orientation(data, header.format)))


def image_size(data: bytes, name: str) -> tuple[int, int]:
    """Return ``(width, height)`` in pixels as stored, read from the header alone; no limit is applied.

    A picture with an orientation of 5..8 has the two exchanged once decoded. The data may end after the
    header. Raises ``ImageFormat`` or ``ImageCorrupt``.
    """
    header = read_header(data, _printable(name))
    return header.width, header.height


def _printable(name: str) -> str:
    """Return a name fit for any terminal: undecodable bytes and control characters as escapes."""
    text = os.fsencode(name).decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def _too_many_bytes(name: str, size_bytes: int) -> ImageTooLarge:
    return ImageTooLarge(
        f"{name} has {size_bytes} bytes",
        why=f"the limit is {MAX_BYTES // 2**20} MiB",
        fix="scale the picture down or compress it first",
    )


def _read_bytes(path: str | os.PathLike[str], name: str) -> bytes:
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):  # opening a pipe would wait for its other end
            kind = "a directory" if stat.S_ISDIR(status.st_mode) else "a pipe, socket or device"
            raise ImageUnreadable(f"{name} is {kind}", fix="give the path of a picture file")
        if status.st_size > MAX_BYTES:
            raise _too_many_bytes(name, status.st_size)
        with open(path, "rb") as file:
            return file.read(status.st_size)
    except (FileNotFoundError, NotADirectoryError):
        raise ImageNotFound(
            f"there is no file {name}", fix="check the path; relative paths start at the current directory"
        ) from None
    except ValueError as error:  # a path with a null character
        raise ImageNotFound(f"there is no file {name}", why=str(error)) from None
    except OSError as error:
        raise ImageUnreadable(
            f"{name} cannot be read", why=error.strerror or str(error), fix="check the file's permissions"
        ) from None


def _decode_pixels(data: bytes, header: ImageHeader, name: str) -> NDArray[Any]:
    """Return BGR pixels ``(H, W, 3)``, uint8 or uint16, as stored (a TIFF already turned upright)."""
    try:
        import cv2
    except ImportError as error:
        raise MissingDependency(
            "pictures are decoded with OpenCV, which cannot be imported",
            why=str(error),
            fix="pip install opencv-python-headless",
        ) from None
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION
    lines: list[bytes] = []
    try:
        with library_messages(lines):
            pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except (cv2.error, MemoryError) as error:
        raise _decoder_error(str(error), name) from None
    damage = [line for line in lines if _DAMAGE_LINE.match(line)]
    stored_shapes = [(header.height, header.width, 3)]
    if header.format == "tiff":
        stored_shapes.append((header.width, header.height, 3))
    if pixels is None or damage or pixels.shape not in stored_shapes:
        said = damage[0].decode("utf-8", "replace") if damage else "the decoder could not finish it"
        raise ImageCorrupt(f"{name} is damaged", why=said, fix="copy the file again from its source")
    if pixels.dtype not in (np.uint8, np.uint16):
        raise ImageFormat(
            f"{name} has {pixels.dtype} samples",
            why="8-bit and 16-bit are decoded",
            fix="save it as 8-bit PNG",
        )
    return np.asarray(pixels)


def _decoder_error(message: str, name: str) -> ImageError:
    message = " ".join(message.split())
    if "CV_IO_MAX_IMAGE" in message:
        return ImageTooLarge(
            f"{name} has more pixels than OpenCV is set to decode",
            why=message,
            fix="scale it down, or raise the environment variable OPENCV_IO_MAX_IMAGE_PIXELS",
        )
    if not message or "nsufficient memory" in message or "Failed to allocate" in message:
        return ImageTooLarge(f"there is not enough memory to decode {name}", why=message, fix="scale it down first")
    return ImageCorrupt(f"{name} cannot be decoded", why=message, fix="copy the file again from its source")


def _to_uint8_rgb(bgr: NDArray[Any], sample_max: int | None) -> NDArray[np.uint8]:
    """Swap BGR to RGB and scale 0..``sample_max`` (None: the whole dtype) linearly to 0..255, rounded."""
    import cv2

    dtype_max = int(np.iinfo(bgr.dtype).max)
    if bgr.dtype != np.uint8 or (sample_max or dtype_max) != dtype_max:
        sample_max = sample_max or dtype_max
        levels = np.minimum(np.arange(dtype_max + 1), sample_max)
        bgr = np.rint(levels * (255.0 / sample_max)).astype(np.uint8)[bgr]
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)


def _upright(pixels: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Undo an Exif orientation 1..8 (Exif 2.32, tag 0x0112): mirror, then turn."""
    if orientation in {5, 6, 7, 8}:
        pixels = pixels.transpose(1, 0, 2)
    if orientation in {2, 3, 6, 7}:
        pixels = pixels[:, ::-1]
    if orientation in {3, 4, 7, 8}:
        pixels = pixels[::-1]
    return pixels
