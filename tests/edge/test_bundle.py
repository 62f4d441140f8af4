"""A bundle is read whole or refused: every way of tampering that is named in the docstring, and writing."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import stat
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge_iqa import bundle as bundle_module
from edge_iqa.bundle import (
    MANIFEST,
    SCHEMA_VERSION,
    Bundle,
    FileEntry,
    Manifest,
    Quantization,
    is_bundle_name,
    read_bundle,
    write_bundle,
)
from edge_iqa.errors import BundleRefused, InvalidInput
from edge_iqa.preprocess import PreprocessSpec

FILES = {
    "model.onnx": bytes(range(256)) * 8 + b"end",
    "model.int8.u8.onnx": b"weights of the int8 model",
    "golden/00.png": b"\x89PNG, as far as the bundle is concerned",
    "CARD.md": b"# A card\n",
}
MANIFEST_VALUES = Manifest(
    SCHEMA_VERSION,
    "student",
    "hirqa-s-lite",
    PreprocessSpec(24, 32),
    Quantization(7),
    {},
    golden_tolerance=0.02,
    provenance={"seed": 1, "nested": {"list": [1, 2.5, None, "é"]}},
)


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "student.eiqa"
    write_bundle(path, MANIFEST_VALUES, FILES)
    return path


Member = tuple[zipfile.ZipInfo, bytes]


def members(path: Path) -> list[Member]:
    with zipfile.ZipFile(path) as archive:
        return [(info, archive.read(info)) for info in archive.infolist()]


def rewrite(path: Path, change: Callable[[list[Member]], list[Member]]) -> None:
    """Pack the archive again after ``change``, as someone who tampers with it would."""
    changed = change(members(path))
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w") as archive:
        warnings.filterwarnings("ignore", message="Duplicate name")
        for info, data in changed:
            archive.writestr(info, data)


def with_content(name: str, content: bytes) -> Callable[[list[Member]], list[Member]]:
    return lambda entries: [(info, content if info.filename == name else data) for info, data in entries]


def with_manifest(change: Callable[[dict[str, Any]], None]) -> Callable[[list[Member]], list[Member]]:
    def apply(entries: list[Member]) -> list[Member]:
        document = json.loads(entries[0][1])
        change(document)
        return [(entries[0][0], json.dumps(document).encode()), *entries[1:]]

    return apply


def added(name: str, content: bytes = b"x", **attributes: Any) -> Callable[[list[Member]], list[Member]]:
    info = zipfile.ZipInfo(name)
    info.compress_type = zipfile.ZIP_DEFLATED
    for key, value in attributes.items():
        setattr(info, key, value)
    return lambda entries: [*entries, (info, content)]


def refusal(path: Path) -> str:
    with pytest.raises(BundleRefused) as caught:
        read_bundle(path)
    assert path.name in caught.value.what
    assert caught.value.fix
    return caught.value.why


def test_what_is_written_is_read(good: Path) -> None:
    bundle = read_bundle(good)
    assert bundle.files == FILES
    assert dataclasses.replace(bundle.manifest, files={}) == MANIFEST_VALUES
    assert set(bundle.manifest.files) == set(FILES)
    assert bundle.size_bytes == good.stat().st_size


def test_same_content_gives_the_same_bytes(good: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.eiqa"
    write_bundle(other, MANIFEST_VALUES, dict(reversed(FILES.items())))
    assert other.read_bytes() == good.read_bytes()
    assert read_bundle(other).sha256 == read_bundle(good).sha256


def test_take_names_what_is_missing_and_why(good: Path) -> None:
    bundle = read_bundle(good)
    assert bundle.take(("model.onnx",), "onnxruntime fp32") == {"model.onnx": FILES["model.onnx"]}
    with pytest.raises(BundleRefused, match=r"student\.eiqa has no model\.tflite") as caught:
        bundle.take(("model.onnx", "model.tflite"), "tflite fp32")
    assert caught.value.why == "tflite fp32 needs it"


@pytest.mark.parametrize("name", ["model.onnx", "model.int8.u8.onnx", "golden/00.png", "CARD.md"])
def test_altered_file(good: Path, name: str) -> None:
    content = bytearray(FILES[name])
    content[len(content) // 2] ^= 1
    rewrite(good, with_content(name, bytes(content)))
    assert refusal(good).startswith(f"{name} was altered")


def test_altered_byte_in_the_packed_data_of_the_weights(good: Path) -> None:
    packed = bytearray(good.read_bytes())
    start = packed.index(FILES["golden/00.png"])  # stored without compression
    packed[start + 5] ^= 1
    good.write_bytes(packed)
    assert "CRC" in refusal(good)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda document: document.update(colour="red"), "unknown key 'colour'"),
        (lambda document: document.pop("preprocess"), "lacks the key 'preprocess'"),
        (lambda document: document["preprocess"].update(width=0), "input size must be positive"),
        (lambda document: document["preprocess"].update(resize="stretch"), "not known"),
        (lambda document: document.update(golden_tolerance=float("nan")), "finite"),
        (lambda document: document["files"]["CARD.md"].update(size_bytes=10), "CARD.md was altered"),
        (lambda document: document["files"]["CARD.md"].update(sha256="0" * 64), "CARD.md was altered"),
        (lambda document: document["files"].pop("CARD.md"), "CARD.md is not in the manifest"),
        (
            lambda document: document["files"].update({"../x": {"sha256": "0", "size_bytes": 0}}),
            "../x, which is not there",
        ),
        (lambda document: document.update(schema_version=SCHEMA_VERSION + 1), "schema_version is 2"),
        (lambda document: document.update(schema_version="1"), "schema_version is '1'"),
        (lambda document: document.update(schema_version=True), "True is not int"),
        (lambda document: document.pop("schema_version"), "schema_version is None"),
    ],
)
def test_altered_manifest(good: Path, change: Callable[[dict[str, Any]], None], why: str) -> None:
    rewrite(good, with_manifest(change))
    assert why in refusal(good)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[]", b"null", b"[" * 200_000, b"1e999"])
def test_manifest_that_is_no_table(good: Path, content: bytes) -> None:
    rewrite(good, with_content(MANIFEST, content))
    why = refusal(good)
    assert MANIFEST in why or "schema_version" in why or "times its size" in why


def test_deeply_nested_manifest_that_does_not_compress_well(good: Path) -> None:
    content = b"[" * 100_000

    def store(entries: list[Member]) -> list[Member]:
        entries[0][0].compress_type = zipfile.ZIP_STORED
        return [(entries[0][0], content), *entries[1:]]

    rewrite(good, store)
    assert "is not JSON" in refusal(good)


def test_missing_file(good: Path) -> None:
    rewrite(good, lambda entries: [entry for entry in entries if entry[0].filename != "CARD.md"])
    assert refusal(good) == "the manifest lists CARD.md, which is not there"


def test_missing_manifest(good: Path) -> None:
    rewrite(good, lambda entries: entries[1:])
    assert refusal(good) == "it has no manifest.json"


def test_extra_file_with_a_known_name(good: Path) -> None:
    rewrite(good, added("recipe.toml"))
    assert refusal(good) == "recipe.toml is not in the manifest"


@pytest.mark.parametrize(
    "name",
    [
        "readme.txt", "../model.onnx", "/model.onnx", "golden/../../x.png", "golden/1.png", "golden/00.png\n",
        "golden/", "MODEL.ONNX", "golden\\00.png", "model.trt", "golden/٠٠.png",
    ],
)  # fmt: skip
def test_names_that_no_bundle_has(good: Path, name: str) -> None:
    rewrite(good, added(name))
    assert "which no bundle may hold" in refusal(good)
    assert not is_bundle_name(name)


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFDIR, stat.S_IFIFO, stat.S_IFCHR])
def test_links_and_special_files(good: Path, kind: int) -> None:
    rewrite(good, added("recipe.toml", b"/etc/passwd", external_attr=(kind | 0o777) << 16))
    assert refusal(good) == "'recipe.toml' is a link or special file"


@pytest.mark.parametrize("name", [MANIFEST, "model.onnx"])
def test_duplicate_names(good: Path, name: str) -> None:
    rewrite(good, added(name, FILES.get(name, b"{}")))
    assert refusal(good) == f"it holds {name!r} twice"


def test_compression_bomb_by_ratio(good: Path) -> None:
    rewrite(good, added("recipe.toml", bytes(10**6)))
    assert "more than 200 times its size" in refusal(good)


def test_sizes_beyond_the_limits(good: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle_module, "MAX_FILE_BYTES", len(FILES["model.onnx"]) - 1)
    assert refusal(good) == "'model.onnx' unpacks to more bytes than allowed"
    monkeypatch.setattr(bundle_module, "MAX_FILE_BYTES", 10**6)
    monkeypatch.setattr(bundle_module, "MAX_BUNDLE_BYTES", good.stat().st_size)
    assert "unpacks to more bytes than allowed" in refusal(good)
    monkeypatch.setattr(bundle_module, "MAX_BUNDLE_BYTES", good.stat().st_size - 1)
    assert "the file is larger than" in refusal(good)


def test_size_that_the_directory_lies_about(good: Path) -> None:
    """A directory that announces fewer bytes than are packed must not unpack the rest."""
    with zipfile.ZipFile(good) as archive:
        size = archive.getinfo("model.onnx").file_size
    packed = good.read_bytes()
    directory = packed.index(b"PK\x01\x02")
    real, announced = size.to_bytes(4, "little"), (size - 1).to_bytes(4, "little")
    assert packed[directory:].count(real) == 1
    good.write_bytes(packed[:directory] + packed[directory:].replace(real, announced))
    assert "zip" in refusal(good)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_ways_of_compression(good: Path, method: int) -> None:
    rewrite(good, added("recipe.toml", b"x", compress_type=method))
    assert "compressed with a method that no bundle uses" in refusal(good)


def test_encrypted_member(good: Path) -> None:
    packed = bytearray(good.read_bytes())
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        packed[packed.index(signature) + flags] |= 1
    good.write_bytes(packed)
    assert "encrypted" in refusal(good)


@pytest.mark.parametrize("content", [b"", b"PK", b"not a zip at all", b"\x89PNG\r\n", bytes(1000)])
def test_not_a_zip(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "other.eiqa"
    path.write_bytes(content)
    assert "not a readable zip" in refusal(path)


def test_truncated_anywhere(good: Path) -> None:
    packed = good.read_bytes()
    for length in range(0, len(packed), 37):
        good.write_bytes(packed[:length])
        assert refusal(good)


def test_any_flipped_byte_is_refused_or_harmless(good: Path) -> None:
    """Header fields such as a time stamp may change; then the content is still that of the manifest."""
    packed = good.read_bytes()
    before = read_bundle(good)
    refused = 0
    for place in range(0, len(packed), 3):
        good.write_bytes(packed[:place] + bytes([packed[place] ^ 0xFF]) + packed[place + 1 :])
        try:
            after: Bundle = read_bundle(good)
        except BundleRefused:
            refused += 1
            continue
        assert after.files == before.files
        assert after.manifest == before.manifest
        assert after.sha256 != before.sha256
    assert refused > len(packed) // 6


def test_no_such_file(tmp_path: Path) -> None:
    for path in (tmp_path / "none.eiqa", tmp_path, tmp_path / ("x" * 5000)):
        with pytest.raises(InvalidInput, match=r"There is no bundle|cannot be read"):
            read_bundle(path)


@pytest.mark.skipif(os.name != "posix" or os.getuid() == 0, reason="permissions do not bind this user")
def test_file_without_permission(good: Path) -> None:
    good.chmod(0)
    with pytest.raises(InvalidInput, match="cannot be read"):
        read_bundle(good)


@pytest.mark.parametrize("name", ["../x", MANIFEST, "notes.txt", "golden/x.png"])
def test_writing_refuses_names(tmp_path: Path, name: str) -> None:
    path = tmp_path / "new.eiqa"
    with pytest.raises(InvalidInput, match="cannot hold"):
        write_bundle(path, MANIFEST_VALUES, {name: b""})
    assert list(tmp_path.iterdir()) == []


def test_writing_where_there_is_no_folder(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="cannot be written"):
        write_bundle(tmp_path / "none" / "new.eiqa", MANIFEST_VALUES, FILES)


def test_writing_is_atomic(good: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failure half-way leaves the old bundle as it was, and nothing else behind."""
    before = good.read_bytes()
    written: list[object] = []
    original = zipfile.ZipFile.writestr

    def fail_later(self: zipfile.ZipFile, *values: Any, **options: Any) -> None:
        written.append(values)
        if len(written) == 3:
            raise OSError(28, "No space left on device")
        original(self, *values, **options)

    monkeypatch.setattr(zipfile.ZipFile, "writestr", fail_later)
    with pytest.raises(InvalidInput, match="cannot be written") as caught:
        write_bundle(good, MANIFEST_VALUES, {"CARD.md": b"new", **FILES})
    assert caught.value.why == "No space left on device"
    assert good.read_bytes() == before
    assert list(good.parent.iterdir()) == [good]


def test_writing_replaces_and_fills_in_the_files(good: Path) -> None:
    stale = dataclasses.replace(MANIFEST_VALUES, files={"model.onnx": FileEntry("0" * 64, 1)})
    write_bundle(good, stale, {"CARD.md": b"new"})
    bundle = read_bundle(good)
    assert bundle.files == {"CARD.md": b"new"}
    assert list(bundle.manifest.files) == ["CARD.md"]


def test_members_are_plain_files(good: Path) -> None:
    with zipfile.ZipFile(io.BytesIO(good.read_bytes())) as archive:
        for info in archive.infolist():
            assert info.date_time == (1980, 1, 1, 0, 0, 0)
            assert stat.S_ISREG(info.external_attr >> 16)
