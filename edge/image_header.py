"""What a picture file says before it is decoded: its format, stored size, orientation, and if it is complete.

Only containers are read here (JPEG markers, PNG and WebP chunks, the first TIFF directory, BMP and PNM
headers), no pixels. Lengths come from untrusted data, so each is compared with the bytes present before use.
Formats: ITU-T T.81, W3C PNG (third edition), RFC 9649 (WebP), TIFF 6.0, Exif 2.32, Netpbm.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_iqa.errors import ImageCorrupt, ImageError, ImageFormat

# More scans than any camera writes; a file of thousands of scans would keep the decoder busy for minutes.
MAX_JPEG_SCANS = 100

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_ACCEPTED = "JPEG, PNG, WebP, BMP, TIFF or binary PNM"
_REFUSED_SIGNATURES = (
    (0, b"GIF8", "a GIF"),
    (0, b"II+\0", "a BigTIFF"),
    (0, b"MM\0+", "a BigTIFF"),
    (4, b"ftyp", "a HEIC, AVIF or video file"),
    (4, b"jP  ", "a JPEG 2000 file"),
)
_JPEG_FRAMES = frozenset({0xC0, 0xC1, 0xC2, 0xC9, 0xCA})  # sequential and progressive
_JPEG_FRAMES_REFUSED = frozenset({0xC3, 0xC5, 0xC6, 0xC7, 0xCB, 0xCD, 0xCE, 0xCF})  # lossless, hierarchical
_JPEG_MARKER_IN_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_PNM_SPACE = rb"(?:\s|#[^\n]*\n)+"
_PNM_HEADER = re.compile(
    rb"P(?:(?P<bitmap>4)|(?P<kind>[56]))%b(?P<width>\d{1,9})%b(?P<height>\d{1,9})(?(kind)%b(?P<maximum>\d{1,5}))\s"
    % (_PNM_SPACE, _PNM_SPACE, _PNM_SPACE)
)
_TIFF_TYPES = {1: "u1", 3: "u2", 4: "u4"}
_TIFF_WIDTH, _TIFF_HEIGHT, _TIFF_BITS, _TIFF_ORIENTATION = 256, 257, 258, 274
_TIFF_EXTRA_SAMPLES, _TIFF_SAMPLE_FORMAT = 338, 339
_TIFF_DATA_TAGS = ((273, 279), (324, 325))  # offsets and byte counts, of strips and of tiles
_TIFF_MAX_VALUES = 1_000_000  # of one tag: more than one strip for each row of any picture that is accepted
_STRAIGHT_ALPHA, _ASSOCIATED_ALPHA = 2, 1


@dataclass(frozen=True)
class ImageHeader:
    """Format (lower case), stored width and height in pixels, and the largest sample value of a PNM file."""

    format: str
    width: int
    height: int
    sample_max: int | None = None


class _Broken(Exception):
    """The container contradicts itself or ends early; becomes ``ImageCorrupt`` where the name is known."""


class _Unsupported(Exception):
    """A variant of an accepted format that is not decoded; becomes ``ImageFormat``."""


def read_header(data: bytes, name: str) -> ImageHeader:
    """Return the header of the picture in ``data``; ``name`` is for messages.

    Raises ``ImageFormat`` for what is not an accepted format, ``ImageCorrupt`` when the header is broken.
    """
    picture_format = _sniff(data, name)
    try:
        header = _HEADER_READERS[picture_format](data)
        if header.width < 1 or header.height < 1:
            raise _Broken(f"its header gives a size of {header.width}x{header.height}")
    except (_Broken, _Unsupported) as problem:
        raise _named(problem, name) from None
    return header


def check_complete(data: bytes, header: ImageHeader, name: str) -> None:
    """Raise ``ImageCorrupt`` when the container ends early or a checksum of pixel data is wrong.

    JPEG: markers are walked to the end of image. PNG: chunks to IEND, with the CRC of every critical chunk.
    WebP: the RIFF length and every chunk. TIFF: every strip or tile lies inside the file. BMP (uncompressed)
    and PNM: as many bytes as the size asks for. Bytes after the end are allowed: cameras append a second
    picture.
    """
    try:
        _CHECKS[header.format](data)
    except (_Broken, _Unsupported) as problem:
        raise _named(problem, name) from None


def exif_orientation(data: bytes, picture_format: str) -> int:
    """Return the Exif orientation 1..8 of a JPEG, PNG or WebP; 1 when there is none or it is broken."""
    try:
        exif = _find_exif(data, picture_format)
        if exif is None:
            return 1
        exif = exif.removeprefix(b"Exif\0\0")
        order, entries = _tiff_directory(exif)
        orientation = _tiff_number(exif, order, entries, _TIFF_ORIENTATION, 1)
    except _Broken:
        return 1
    return orientation if 1 <= orientation <= 8 else 1


def pixel_data(data: bytes, picture_format: str) -> bytes:
    """Return ``data`` without what must not change the colours: the bytes that go to the decoder.

    PNG: only critical chunks stay, so that colour profiles, transparency and animation play no part. TIFF:
    straight alpha is relabelled as associated, because libtiff would otherwise multiply the colours by it.
    """
    if picture_format == "png":
        kept = (data[start:end] for kind, start, end in _png_chunks(data) if _is_critical(kind))
        return _PNG_SIGNATURE + b"".join(kept)
    if picture_format == "tiff":
        order, entries = _tiff_directory(data)
        extra = _tiff_values(data, order, entries, _TIFF_EXTRA_SAMPLES)
        if len(extra) == 1 and extra[0] == _STRAIGHT_ALPHA and entries[_TIFF_EXTRA_SAMPLES][0] == "u2":
            position = entries[_TIFF_EXTRA_SAMPLES][1]
            return data[:position] + struct.pack(order + "H", _ASSOCIATED_ALPHA) + data[position + 2 :]
    return data


def _named(problem: _Broken | _Unsupported, name: str) -> ImageError:
    if isinstance(problem, _Unsupported):
        return ImageFormat(
            f"{name} is a kind of picture that is not supported",
            why=str(problem),
            fix="save it as 8-bit JPEG or PNG",
        )
    return ImageCorrupt(f"{name} is damaged or cut short", why=str(problem), fix="copy the file again from its source")


def _sniff(data: bytes, name: str) -> str:
    if not data:
        raise ImageFormat(f"{name} is empty", why="the file has 0 bytes", fix="copy the file again from its source")
    if data.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if data.startswith(_PNG_SIGNATURE):
        return "png"
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "webp"
    if data.startswith((b"II*\0", b"MM\0*")):
        return "tiff"
    if data.startswith(b"BM"):
        return "bmp"
    if re.match(rb"P[456][\s#]", data):
        return "pnm"
    for offset, signature, described in _REFUSED_SIGNATURES:
        if data.startswith(signature, offset):
            raise ImageFormat(f"{name} is {described}", fix=f"convert it to {_ACCEPTED}")
    raise ImageFormat(
        f"{name} is not a picture",
        why="its first bytes are not those of an accepted format; the name's ending is not looked at",
        fix=f"give a file that is {_ACCEPTED}",
    )


def _unpack(layout: str, data: bytes, offset: int) -> tuple[Any, ...]:
    if offset + struct.calcsize(layout) > len(data):
        raise _Broken(f"it ends after {len(data)} bytes, inside its structure")
    return struct.unpack_from(layout, data, offset)


# --- JPEG


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield ``(marker, payload)`` of every segment up to end of image; coded pixels are skipped."""
    position = 2
    while True:
        prefix, marker = _unpack(">BB", data, position)
        if prefix != 0xFF:
            raise _Broken(f"a JPEG marker was expected at byte {position}")
        if marker == 0xFF:  # fill byte
            position += 1
            continue
        if marker == 0xD9:
            return
        if marker < 0xC0 or 0xD0 <= marker <= 0xD8:
            raise _Broken(f"JPEG marker 0x{marker:02x} at byte {position} does not belong there")
        (length,) = _unpack(">H", data, position + 2)
        end = position + 2 + length
        if length < 2 or end > len(data):
            raise _Broken(f"the JPEG segment at byte {position} is longer than the file")
        yield marker, data[position + 4 : end]
        position = end
        if marker == 0xDA:
            found = _JPEG_MARKER_IN_SCAN.search(data, position)
            if found is None:
                raise _Broken(f"it ends after {len(data)} bytes, before the JPEG end-of-image marker")
            position = found.start()


def _jpeg_header(data: bytes) -> ImageHeader:
    for marker, payload in _jpeg_segments(data):
        if marker in _JPEG_FRAMES_REFUSED:
            raise _Unsupported("lossless and hierarchical JPEG are not decoded")
        if marker in _JPEG_FRAMES:
            precision_bits, height, width = _unpack(">BHH", payload, 0)
            if precision_bits != 8:
                raise _Unsupported(f"it is a JPEG with {precision_bits}-bit samples")
            return ImageHeader("jpeg", width, height)
        if marker == 0xDA:
            break
    raise _Broken("the JPEG has no frame header before its pixels")


def _check_jpeg(data: bytes) -> None:
    scans = sum(marker == 0xDA for marker, _ in _jpeg_segments(data))
    if scans == 0:
        raise _Broken("the JPEG holds no pixels")
    if scans > MAX_JPEG_SCANS:
        raise _Broken(f"the JPEG has {scans} scans; at most {MAX_JPEG_SCANS} are decoded")


# --- PNG


def _is_critical(kind: bytes) -> bool:
    return not kind[0] & 0x20


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield ``(type, start, end)`` of every chunk through IEND; a chunk is length, type, data, CRC."""
    position = len(_PNG_SIGNATURE)
    while True:
        length, kind = _unpack(">I4s", data, position)
        end = position + 12 + length
        if end > len(data):
            raise _Broken(f"it ends after {len(data)} bytes, inside PNG chunk {kind!r}")
        yield kind, position, end
        if kind == b"IEND":
            return
        position = end


def _png_header(data: bytes) -> ImageHeader:
    length, kind, width, height = _unpack(">I4sII", data, len(_PNG_SIGNATURE))
    if kind != b"IHDR" or length != 13:
        raise _Broken("the PNG does not begin with its header chunk")
    return ImageHeader("png", width, height)


def _check_png(data: bytes) -> None:
    view = memoryview(data)
    has_pixels = False
    for kind, start, end in _png_chunks(data):
        if _is_critical(kind) and zlib.crc32(view[start + 4 : end - 4]) != _unpack(">I", data, end - 4)[0]:
            raise _Broken(f"the checksum of PNG chunk {kind!r} at byte {start} is wrong")
        has_pixels = has_pixels or kind == b"IDAT"
    if not has_pixels:
        raise _Broken("the PNG holds no pixels")


# --- WebP


def _webp_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield ``(type, payload)`` of every chunk inside the RIFF length."""
    (riff_bytes,) = _unpack("<I", data, 4)
    riff_end = 8 + riff_bytes
    if riff_end > len(data):
        raise _Broken(f"it has {len(data)} of the {riff_end} bytes that its RIFF header announces")
    position = 12
    while position + 8 <= riff_end:
        kind, length = _unpack("<4sI", data, position)
        if position + 8 + length > riff_end:
            raise _Broken(f"the WebP chunk at byte {position} is longer than the file")
        yield kind, data[position + 8 : position + 8 + length]
        position += 8 + length + length % 2


def _webp_header(data: bytes) -> ImageHeader:
    kind = data[12:16]
    if kind == b"VP8X":
        flags, width_low, width_high, height_low, height_high = _unpack("<B3xHBHB", data, 20)
        if flags & 0x02:
            raise _Unsupported("it is an animated WebP, of which no single frame is the picture")
        return ImageHeader("webp", (width_high << 16 | width_low) + 1, (height_high << 16 | height_low) + 1)
    if kind == b"VP8L":
        signature, packed = _unpack("<BI", data, 20)
        if signature != 0x2F:
            raise _Broken("the lossless WebP signature is missing")
        return ImageHeader("webp", (packed & 0x3FFF) + 1, (packed >> 14 & 0x3FFF) + 1)
    if kind == b"VP8 ":
        start_code, width, height = _unpack("<3sHH", data, 23)
        if start_code != b"\x9d\x01\x2a":
            raise _Broken("the WebP key-frame start code is missing")
        return ImageHeader("webp", width & 0x3FFF, height & 0x3FFF)
    raise _Broken(f"the WebP begins with an unknown chunk {kind!r}")


def _check_webp(data: bytes) -> None:
    kinds = {kind for kind, _ in _webp_chunks(data)}
    if kinds.isdisjoint({b"VP8 ", b"VP8L"}):
        raise _Broken("the WebP holds no pixels")


# --- Exif and TIFF (Exif is a TIFF directory inside another container)

_TiffEntries = dict[int, tuple[str, int, int]]  # tag -> (numpy type, position of the values, count)


def _find_exif(data: bytes, picture_format: str) -> bytes | None:
    if picture_format == "jpeg":
        for marker, payload in _jpeg_segments(data):
            if marker == 0xE1 and payload.startswith(b"Exif\0\0"):
                return payload
            if marker == 0xDA:
                break
    elif picture_format == "png":
        for png_kind, start, end in _png_chunks(data):
            if png_kind == b"eXIf":
                return data[start + 8 : end - 4]
    elif picture_format == "webp":
        for webp_kind, payload in _webp_chunks(data):
            if webp_kind == b"EXIF":
                return payload
    return None


def _tiff_directory(data: bytes) -> tuple[str, _TiffEntries]:
    """Return the byte order (``<`` or ``>``) and the integer entries of the first directory."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(data[:4])
    if order is None:
        raise _Broken("the TIFF signature is missing")
    (directory,) = _unpack(order + "I", data, 4)
    (count,) = _unpack(order + "H", data, directory)
    entries: _TiffEntries = {}
    for entry in range(directory + 2, directory + 2 + 12 * count, 12):
        tag, type_code, value_count = _unpack(order + "HHI", data, entry)
        if type_code not in _TIFF_TYPES:
            continue
        dtype = _TIFF_TYPES[type_code]
        fits_in_entry = value_count * np.dtype(dtype).itemsize <= 4
        position = entry + 8 if fits_in_entry else _unpack(order + "I", data, entry + 8)[0]
        entries.setdefault(tag, (dtype, position, value_count))
    return order, entries


def _tiff_values(data: bytes, order: str, entries: _TiffEntries, tag: int) -> NDArray[np.int64]:
    """Return the values of a tag, empty when it is absent."""
    if tag not in entries:
        return np.empty(0, np.int64)
    dtype, position, count = entries[tag]
    if count > _TIFF_MAX_VALUES or position + count * np.dtype(dtype).itemsize > len(data):
        raise _Broken(f"the values of TIFF tag {tag} lie outside the file")
    return np.frombuffer(data, np.dtype(order + dtype), count, position).astype(np.int64)


def _tiff_number(data: bytes, order: str, entries: _TiffEntries, tag: int, default: int) -> int:
    values = _tiff_values(data, order, entries, tag)
    return int(values[0]) if len(values) else default


def _tiff_header(data: bytes) -> ImageHeader:
    order, entries = _tiff_directory(data)
    width = _tiff_number(data, order, entries, _TIFF_WIDTH, 0)
    height = _tiff_number(data, order, entries, _TIFF_HEIGHT, 0)
    bits = _tiff_number(data, order, entries, _TIFF_BITS, 1)
    if bits not in {1, 2, 4, 8, 16} or _tiff_number(data, order, entries, _TIFF_SAMPLE_FORMAT, 1) != 1:
        raise _Unsupported(f"it is a TIFF with {bits}-bit, signed or floating-point samples")
    return ImageHeader("tiff", width, height)


def _check_tiff(data: bytes) -> None:
    order, entries = _tiff_directory(data)
    for offsets_tag, counts_tag in _TIFF_DATA_TAGS:
        offsets = _tiff_values(data, order, entries, offsets_tag)
        sizes_bytes = _tiff_values(data, order, entries, counts_tag)
        if len(offsets) and len(offsets) == len(sizes_bytes):
            if (offsets + sizes_bytes).max() > len(data):
                raise _Broken(f"it ends after {len(data)} bytes, before the last TIFF strip or tile")
            return
    raise _Broken("the TIFF does not tell where its pixels are")


# --- BMP and PNM


def _bmp_layout(data: bytes) -> tuple[int, int, int, int, int]:
    """Return pixel offset, width, height, bits per pixel, compression."""
    pixels_at, header_bytes = _unpack("<II", data, 10)
    if header_bytes == 12:
        width, height, bits = _unpack("<HH2xH", data, 18)
        return pixels_at, width, height, bits, 0
    if header_bytes < 40:
        raise _Broken(f"a BMP header of {header_bytes} bytes does not exist")
    width, height, bits, compression = _unpack("<ii2xHI", data, 18)
    return pixels_at, width, abs(height), bits, compression


def _bmp_header(data: bytes) -> ImageHeader:
    _, width, height, _, _ = _bmp_layout(data)
    return ImageHeader("bmp", width, height)


def _check_bmp(data: bytes) -> None:
    pixels_at, width, height, bits, compression = _bmp_layout(data)
    row_bytes = (width * bits + 31) // 32 * 4
    needed_bytes = pixels_at + row_bytes * height
    if compression in {0, 3} and needed_bytes > len(data):
        raise _Broken(f"it has {len(data)} of the {needed_bytes} bytes that its size asks for")


def _match_pnm(data: bytes) -> re.Match[bytes]:
    found = _PNM_HEADER.match(data)
    if found is None:
        raise _Broken("the PNM header does not give width, height and largest value")
    return found


def _pnm_header(data: bytes) -> ImageHeader:
    found = _match_pnm(data)
    sample_max = int(found["maximum"] or 255)
    if not 1 <= sample_max <= 65535:
        raise _Broken(f"the largest value of a PNM lies between 1 and 65535, not {sample_max}")
    return ImageHeader("pnm", int(found["width"]), int(found["height"]), sample_max)


def _check_pnm(data: bytes) -> None:
    found = _match_pnm(data)
    header = _pnm_header(data)
    if found["bitmap"]:
        row_bytes = (header.width + 7) // 8
    else:
        channels = 3 if found["kind"] == b"6" else 1
        row_bytes = header.width * channels * (2 if int(found["maximum"]) > 255 else 1)
    needed_bytes = found.end() + row_bytes * header.height
    if needed_bytes > len(data):
        raise _Broken(f"it has {len(data)} of the {needed_bytes} bytes that its size asks for")


_HEADER_READERS = {
    "jpeg": _jpeg_header,
    "png": _png_header,
    "webp": _webp_header,
    "tiff": _tiff_header,
    "bmp": _bmp_header,
    "pnm": _pnm_header,
}
_CHECKS = {
    "jpeg": _check_jpeg,
    "png": _check_png,
    "webp": _check_webp,
    "tiff": _check_tiff,
    "bmp": _check_bmp,
    "pnm": _check_pnm,
}
