"""Picture files made in memory: good ones of every accepted format, and parts to build odd ones from."""

from __future__ import annotations

import base64
import struct
import zlib
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

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


def corners() -> NDArray[np.uint8]:
    """Return 32x48 pixels: the stored top left is red, the top right green, the rest dark."""
    rgb = np.full((32, 48, 3), 20, np.uint8)
    rgb[:16, :16] = (220, 30, 30)
    rgb[:16, 32:] = (30, 220, 30)
    return rgb
