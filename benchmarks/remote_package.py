"""What is pushed to another machine: the runner's archive, the data, the job; the same bytes every time."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import edge_iqa
from edge_iqa import benchmarks
from edge_iqa.benchmarks import remote_runner
from edge_iqa.benchmarks.pictures import PictureSet
from edge_iqa.benchmarks.remote_job import DATA_ARCHIVE, JOB, Job, request_document
from edge_iqa.benchmarks.run import BenchRequest

RUNNER = "runner.pyz"
_TIMESTAMP = (1980, 1, 1, 0, 0, 0)
_SUFFIXES = (".py", ".json", ".toml", ".typed")
# not needed to measure: the tool's own bundle and photographs, the camera loop, training
_LEFT_OUT = ("assets", "camera", "models", "quantize", "benchmarks", "datasets", "__pycache__")
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class PushFile:
    """A file to push: where it is here, what it is called there, its sha256 and its size."""

    path: Path
    name: str
    sha256: str
    size_bytes: int


@dataclass(frozen=True)
class Push:
    """Everything to push, and the session's name, which follows from the contents."""

    files: tuple[PushFile, ...]
    session: str

    @property
    def size_bytes(self) -> int:
        return sum(file.size_bytes for file in self.files)

    @property
    def runner_sha256(self) -> str:
        return next(file.sha256 for file in self.files if file.name == RUNNER)


def make_push(folder: Path, bundle: Path, pictures: PictureSet, request: BenchRequest) -> Push:
    """Write the three files into ``folder``."""
    write_runner(folder / RUNNER)
    job = _write_data(folder / DATA_ARCHIVE, bundle, pictures, request)
    (folder / JOB).write_text(json.dumps(dataclasses.asdict(job), sort_keys=True), encoding="utf-8")
    files = tuple(_push_file(folder / name) for name in (RUNNER, DATA_ARCHIVE, JOB))
    session = hashlib.sha256("".join(file.sha256 for file in files).encode()).hexdigest()[:16]
    return Push(files, session)


def write_runner(path: Path) -> None:
    """Write the self-contained program: the package without the tool's assets, and a start of its own."""
    assert remote_runner.__file__ is not None
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        _add(archive, "__main__.py", Path(remote_runner.__file__).read_bytes())
        for name, file in sorted(_package_files()):
            _add(archive, f"{remote_runner.PACKAGE}/{name}", file.read_bytes())


def _package_files() -> Iterator[tuple[str, Path]]:
    assert edge_iqa.__file__ is not None
    assert benchmarks.__file__ is not None
    for prefix, root in (("edge_iqa", edge_iqa.__file__), ("edge_iqa/benchmarks", benchmarks.__file__)):
        base = Path(root).parent
        for folder, inside, names in os.walk(base, followlinks=True):  # an editable install may be links
            inside[:] = [name for name in inside if name not in _LEFT_OUT]
            for name in names:
                file = Path(folder, name)
                if file.suffix in _SUFFIXES:
                    yield f"{prefix}/{file.relative_to(base).as_posix()}", file


def _write_data(path: Path, bundle: Path, pictures: PictureSet, request: BenchRequest) -> Job:
    """Write the bundle and each picture's file once; return the job that refers to them."""
    names: dict[str, str] = {}
    for picture in pictures.pictures:
        suffix = Path(picture.path).suffix.lower()
        names.setdefault(picture.path, f"pictures/{len(names):05d}{suffix}")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        _add(archive, "bundle.eiqa", bundle.read_bytes())
        for source, name in names.items():
            _add(archive, name, Path(source).read_bytes())
    moved = tuple(dataclasses.replace(picture, path=names[picture.path]) for picture in pictures.pictures)
    return Job(request_document(request), pictures.source, pictures.sha256, moved)


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    info = zipfile.ZipInfo(name, _TIMESTAMP)
    info.compress_type = archive.compression
    info.external_attr = 0o600 << 16
    archive.writestr(info, content)


def _push_file(path: Path) -> PushFile:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return PushFile(path, path.name, digest.hexdigest(), path.stat().st_size)
