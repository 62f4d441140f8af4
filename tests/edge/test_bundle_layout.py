"""The zip structure of a bundle has one meaning: bytes that belong to no file are refused wherever they are."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from edge_iqa.bundle import SCHEMA_VERSION, Manifest, Quantization, read_bundle, write_bundle
from edge_iqa.errors import BundleAltered, BundleBroken, BundleRefused, BundleTooLarge, BundleUnsafe, ManifestRefused
from edge_iqa.preprocess import PreprocessSpec

FILES = {"CARD.md": b"# A card\n", "model.onnx": bytes(range(256)) * 4}


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "b.eiqa"
    write_bundle(path, Manifest(SCHEMA_VERSION, "b", "b", PreprocessSpec(8, 8), Quantization(7), {}, 0.02), FILES)
    return path


def refuse(path: Path, content: bytes) -> BundleRefused:
    path.write_bytes(content)
    with pytest.raises(BundleRefused) as caught:
        read_bundle(path)
    return caught.value


def directory_start(content: bytes) -> int:
    (start,) = struct.unpack_from("<L", content, len(content) - 6)
    return int(start)


def with_gap(content: bytes) -> bytes:
    """Put bytes between the last member and the directory, with every offset set right."""
    start = directory_start(content)
    return content[:start] + b"hidden" + content[start:-6] + struct.pack("<LH", start + 6, 0)


def with_comment(content: bytes) -> bytes:
    return content[:-2] + struct.pack("<H", 6) + b"hidden"


def with_other_local_name(content: bytes) -> bytes:
    return content.replace(b"CARD.md", b"CARD.me", 1)


def with_other_flags(content: bytes) -> bytes:
    changed = bytearray(content)
    changed[6] |= 2
    return bytes(changed)


def with_descriptor(content: bytes) -> bytes:
    changed = bytearray(content)
    changed[6] |= 8
    changed[directory_start(content) + 8] |= 8
    return bytes(changed)


def with_other_count(content: bytes) -> bytes:
    return content[:-14] + struct.pack("<HH", 9, 9) + content[-10:]


def with_bytes_before_the_end(content: bytes) -> bytes:
    return content[:-22] + b"hidden" + content[-22:]


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content + b"\0",
        lambda content: content + content,
        lambda content: b"#!/bin/sh\n" + content,
        lambda content: content[:-1],
        with_gap, with_comment, with_other_local_name, with_other_flags, with_descriptor, with_other_count,
        with_bytes_before_the_end,
    ],
)  # fmt: skip
def test_structure_that_no_bundle_has(good: Path, change: Callable[[bytes], bytes]) -> None:
    error = refuse(good, change(good.read_bytes()))
    assert isinstance(error, BundleBroken)
    assert error.why


def repack(path: Path, change: Callable[[zipfile.ZipFile], None]) -> bytes:
    """Return the archive with its members copied and ``change`` applied to the new one."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(buffer, "w") as target:
        for info in source.infolist():
            target.writestr(info, source.read(info))
        change(target)
    return buffer.getvalue()


def add(name: str, content: bytes = b"x", mode: int = 0o100644) -> Callable[[zipfile.ZipFile], None]:
    info = zipfile.ZipInfo(name)
    info.compress_type = zipfile.ZIP_DEFLATED
    info.external_attr = mode << 16
    return lambda archive: archive.writestr(info, content)


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (add("recipe.toml"), BundleAltered),
        (add("../../etc/cron.d/x"), BundleUnsafe),
        (add("recipe.toml", b"/etc/passwd", 0o120777), BundleUnsafe),
        (add("recipe.toml", bytes(10**6)), BundleTooLarge),
    ],
)
def test_each_kind_has_its_own_error(good: Path, change: Callable[[zipfile.ZipFile], None], kind: type) -> None:
    assert type(refuse(good, repack(good, change))) is kind


def test_an_extra_field_is_refused(good: Path) -> None:
    info = zipfile.ZipInfo("recipe.toml")
    info.extra = struct.pack("<HH4s", 0x5455, 4, b"time")
    error = refuse(good, repack(good, lambda archive: archive.writestr(info, b"x")))
    assert isinstance(error, BundleBroken)
    assert "fields that no bundle has" in error.why


def test_altered_weights_and_manifest_are_told_apart(good: Path, tmp_path: Path) -> None:
    def rewritten(name: str, content: bytes) -> bytes:
        buffer = io.BytesIO()
        with zipfile.ZipFile(good) as source, zipfile.ZipFile(buffer, "w") as target:
            for info in source.infolist():
                target.writestr(info, content if info.filename == name else source.read(info))
        return buffer.getvalue()

    other = tmp_path / "other.eiqa"
    assert type(refuse(other, rewritten("model.onnx", b"y"))) is BundleAltered
    assert type(refuse(other, rewritten("manifest.json", b"{}"))) is ManifestRefused
    assert refuse(other, rewritten("manifest.json", b"{}")).exit_code == 5
