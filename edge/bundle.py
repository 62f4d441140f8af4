"""The bundle: one ``.eiqa`` file that holds a quality model for every runtime, and proves that it is whole.

A zip with fixed names, no links, bounded sizes, and a manifest with the sha256 of every file. Nothing in it
is used before it was checked. Writing is atomic and gives the same bytes for the same content.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import os
import re
import stat
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge_iqa.bundle_layout import check_layout
from edge_iqa.errors import (
    BundleAltered,
    BundleBroken,
    BundleRefused,
    BundleTooLarge,
    BundleUnsafe,
    InvalidInput,
    ManifestRefused,
)
from edge_iqa.preprocess import PreprocessSpec
from edge_iqa.spec import from_document

SCHEMA_VERSION = 1
MANIFEST = "manifest.json"
FILE_NAMES = frozenset(
    {
        "CARD.md",
        "golden/expected.json",
        "golden/stages.json",
        "model.int8.onnx",
        "model.int8.tflite",
        "model.int8.u8.onnx",
        "model.onnx",
        "model.tflite",
        "openvino/model.bin",
        "openvino/model.xml",
        "recipe.toml",
    }
)
_GOLDEN_NAME = re.compile(r"golden/[0-9]{2}\.png")
MAX_BUNDLE_BYTES = 512 * 1024**2
MAX_FILE_BYTES = 256 * 1024**2
MAX_RATIO = 200  # uncompressed to compressed
_TIMESTAMP = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class FileEntry:
    """One file of a bundle: its sha256 (hex) and its size in bytes."""

    sha256: str
    size_bytes: int


@dataclass(frozen=True)
class Quantization:
    """How the int8 model holds its numbers."""

    weight_bits: int
    float_layers: tuple[str, ...] = ()
    activation_bits: int = 8
    scheme: str = "symmetric, weights per output channel, activations per tensor, head and input/output float"


@dataclass(frozen=True)
class Manifest:
    """What a bundle says of itself; ``files`` covers every file but the manifest."""

    schema_version: int
    name: str
    model: str
    preprocess: PreprocessSpec
    quantization: Quantization
    files: dict[str, FileEntry]
    golden_tolerance: float
    score_range: tuple[float, float] = (0.0, 1.0)
    higher_is_better: bool = True
    provenance: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Bundle:
    """A checked bundle in memory; ``sha256`` is that of the whole file."""

    path: Path
    sha256: str
    size_bytes: int
    manifest: Manifest
    files: Mapping[str, bytes]

    def take(self, names: tuple[str, ...], purpose: str) -> dict[str, bytes]:
        """Return the files ``names``; raises BundleRefused, naming ``purpose``, where one is not there."""
        missing = [name for name in names if name not in self.files]
        if missing:
            raise BundleRefused(
                f"{self.path.name} has no {missing[0]}",
                why=f"{purpose} needs it",
                fix="rebuild the bundle with 'edge-iqa quantize', or choose another backend or precision",
            )
        return {name: self.files[name] for name in names}


def default_bundle_path() -> Path:
    """Return the path of the embedded default bundle."""
    return Path(__file__).parent / "assets" / "hirqa-s-lite.eiqa"


def is_bundle_name(name: str) -> bool:
    """Return whether ``name`` may stand in a bundle beside the manifest."""
    return name in FILE_NAMES or _GOLDEN_NAME.fullmatch(name) is not None


def read_bundle(path: str | os.PathLike[str]) -> Bundle:
    """Read and check a bundle.

    Raises InvalidInput where there is no such file to read, and the subclass of BundleRefused that names the
    fault for anything that is not exactly a bundle.
    """
    source = Path(path)
    content = _read_limited(source)
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            problem = check_layout(archive, content)
            if problem:
                raise _refused(source, problem, BundleBroken)
            files = _read_members(source, archive)
    except (zipfile.BadZipFile, zipfile.LargeZipFile, EOFError, NotImplementedError, RuntimeError) as error:
        raise _refused(source, f"it is not a readable zip: {error}", BundleBroken) from error
    except Exception as error:
        if isinstance(error, BundleRefused):
            raise
        raise _refused(source, f"its compressed data is broken: {error}", BundleBroken) from error
    manifest = _read_manifest(source, files.pop(MANIFEST, None))
    for name, entry in manifest.files.items():
        if name not in files:
            raise _refused(source, f"the manifest lists {name}, which is not there", BundleAltered)
        found = hashlib.sha256(files[name]).hexdigest()
        if found != entry.sha256 or len(files[name]) != entry.size_bytes:
            listed = f"the manifest has {entry.sha256[:12]}… and {entry.size_bytes}"
            there = f"sha256 {found[:12]}… and {len(files[name])} bytes"
            raise _refused(source, f"{name} was altered: it has {there}, {listed}", BundleAltered)
    extra = sorted(set(files) - set(manifest.files))
    if extra:
        raise _refused(source, f"{extra[0]} is not in the manifest", BundleAltered)
    return Bundle(source, hashlib.sha256(content).hexdigest(), len(content), manifest, files)


def write_bundle(path: Path, manifest: Manifest, files: Mapping[str, bytes]) -> None:
    """Write a bundle atomically; ``manifest.files`` is filled in from ``files``.

    Raises InvalidInput for a file name that a bundle may not hold, or a ``path`` that cannot be written.
    """
    wrong = [name for name in files if not is_bundle_name(name)]
    if wrong:
        raise InvalidInput(f"A bundle cannot hold {wrong[0]!r}")
    entries = {name: FileEntry(hashlib.sha256(data).hexdigest(), len(data)) for name, data in sorted(files.items())}
    document = json.dumps(dataclasses.asdict(dataclasses.replace(manifest, files=entries)), indent=1)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with zipfile.ZipFile(temporary, "w") as archive:
            for name, data in [(MANIFEST, document.encode()), *sorted(files.items())]:
                info = zipfile.ZipInfo(name, _TIMESTAMP)
                info.compress_type = zipfile.ZIP_STORED if name.endswith(".png") else zipfile.ZIP_DEFLATED
                info.create_system = 3  # Unix, wherever this runs
                info.external_attr = (stat.S_IFREG | 0o644) << 16
                archive.writestr(info, data, compresslevel=6)
        os.replace(temporary, path)
    except OSError as error:
        raise InvalidInput(f"{path} cannot be written", why=error.strerror or str(error)) from error
    finally:
        temporary.unlink(missing_ok=True)


def _read_limited(source: Path) -> bytes:
    try:
        if not source.is_file():
            raise InvalidInput(
                f"There is no bundle {source}", fix="name a .eiqa file, or leave --bundle out for the default"
            )
        if source.stat().st_size > MAX_BUNDLE_BYTES:
            raise _refused(source, f"the file is larger than {MAX_BUNDLE_BYTES} bytes", BundleTooLarge)
        return source.read_bytes()
    except OSError as error:
        raise InvalidInput(f"{source} cannot be read", why=error.strerror or str(error)) from error


def _read_members(source: Path, archive: zipfile.ZipFile) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    total = 0
    for info in archive.infolist():
        if info.filename != MANIFEST and not is_bundle_name(info.filename):
            raise _refused(source, f"it holds {info.filename!r}, which no bundle may hold", BundleUnsafe)
        if info.filename in files:
            raise _refused(source, f"it holds {info.filename!r} twice", BundleUnsafe)
        mode = info.external_attr >> 16
        if mode and stat.S_IFMT(mode) not in (0, stat.S_IFREG):
            raise _refused(source, f"{info.filename!r} is a link or special file", BundleUnsafe)
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            why = f"{info.filename!r} is compressed with a method that no bundle uses"
            raise _refused(source, why, BundleBroken)
        total += info.file_size
        if info.file_size > MAX_FILE_BYTES or total > MAX_BUNDLE_BYTES:
            raise _refused(source, f"{info.filename!r} unpacks to more bytes than allowed", BundleTooLarge)
        if info.file_size > MAX_RATIO * max(info.compress_size, 1):
            why = f"{info.filename!r} unpacks to more than {MAX_RATIO} times its size"
            raise _refused(source, why, BundleTooLarge)
        files[info.filename] = archive.read(info)
    return files


def _read_manifest(source: Path, content: bytes | None) -> Manifest:
    if content is None:
        raise _refused(source, f"it has no {MANIFEST}", ManifestRefused)
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise _refused(source, f"{MANIFEST} is not JSON: {error}", ManifestRefused) from error
    version = document.get("schema_version") if isinstance(document, dict) else None
    if version != SCHEMA_VERSION:
        reads = f"this version of edge-iqa reads {SCHEMA_VERSION}"
        raise _refused(source, f"its schema_version is {version!r}; {reads}", ManifestRefused)
    try:
        return from_document(Manifest, document, MANIFEST)
    except InvalidInput as error:
        raise _refused(source, " ".join(str(error).split()), ManifestRefused) from error


def _refused(source: Path, why: str, kind: type[BundleRefused]) -> BundleRefused:
    return kind(
        f"{source.name} is not a bundle that can be trusted",
        why=why,
        fix="fetch it again from its source, or rebuild it with 'edge-iqa quantize'",
    )
