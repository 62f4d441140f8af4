"""The pictures a benchmark scores: a folder of the user's, or embedded photographs with distortions."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_iqa.benchmarks.camera_path import through_camera
from edge_iqa.benchmarks.distortions import VARIANTS, distort
from edge_iqa.decode import read_image
from edge_iqa.errors import ImageError, InvalidInput
from edge_iqa.progress import track

TIMING_BYTES = 192 * 1024**2  # decoded pictures that a worker holds at a time


@dataclass(frozen=True)
class BenchPicture:
    """One picture: a file, and the distortion it gets once decoded; ``name`` is relative to its folder.

    ``camera`` is a step of the camera path (``camera_path.CAMERA_STEPS``) that comes after it.
    """

    path: str
    name: str
    size_bytes: int
    distortion: str | None = None
    strength: float = 0.0
    seed: int = 0
    camera: str | None = None

    def load(self) -> NDArray[np.uint8]:
        """Return the picture as uint8 RGB ``(H, W, 3)``; raises ImageError."""
        pixels = read_image(self.path)
        if self.distortion is not None:
            pixels = distort(pixels, self.distortion, self.strength, self.seed)
        return pixels if self.camera is None else through_camera(pixels, self.camera)


@dataclass(frozen=True)
class PictureSet:
    """The pictures of one benchmark; ``sha256`` is that of all, ``failed`` tells of files left out."""

    source: str
    pictures: tuple[BenchPicture, ...]
    failed: tuple[ImageError, ...]
    sha256: str

    def for_timing(self, count: int) -> tuple[BenchPicture, ...]:
        """Return up to ``count`` pictures, spread evenly, that take a bounded amount of memory decoded."""
        chosen = np.unique(np.linspace(0, len(self.pictures) - 1, count).round().astype(int))
        kept: list[BenchPicture] = []
        total = 0
        for index in chosen:
            total += self.pictures[index].size_bytes
            if kept and total > TIMING_BYTES:
                break
            kept.append(self.pictures[index])
        return tuple(kept)


def embedded_photographs() -> Path:
    """Return the folder of the photographs that come with the tool."""
    import edge_iqa

    return Path(edge_iqa.__file__).parent / "assets" / "photographs"


def collect_pictures(folder: Path | None, limit: int, seed: int) -> PictureSet:
    """Find up to ``limit`` usable pictures, in ``folder`` or, for None, embedded ones with distortions.

    Of a larger folder a sample is drawn with ``seed``. Files that are not usable pictures are left out and
    listed. Raises InvalidInput where there is no folder or no usable picture in it.
    """
    from edge_iqa.cli.score_command import PICTURE_SUFFIXES

    root = (embedded_photographs() if folder is None else folder).resolve()
    if not root.is_dir():
        raise InvalidInput(f"There is no folder {root}", fix="name a folder of pictures with --images")
    files = sorted(entry for entry in root.rglob("*") if entry.suffix.lower() in PICTURE_SUFFIXES)
    if len(files) > limit:
        drawn = np.random.default_rng(seed).choice(len(files), limit, replace=False)
        files = [files[index] for index in sorted(drawn)]
    found: list[BenchPicture] = []
    failed: list[ImageError] = []
    digest = hashlib.sha256()
    for path in track(files, "reading pictures"):
        try:
            decoded_bytes = read_image(path).nbytes
        except ImageError as error:
            failed.append(error)
            continue
        digest.update(hashlib.sha256(path.read_bytes()).digest())
        found.append(BenchPicture(str(path), path.relative_to(root).as_posix(), decoded_bytes))
    if not found:
        why = str(failed[0].what) if failed else "no file in it is named like a picture"
        raise InvalidInput(f"There is no usable picture in {root}", why=why, fix="name another with --images")
    if folder is None:
        found = _with_distortions(found, limit, seed)
        digest.update(repr([(p.name, p.distortion, p.strength, p.seed) for p in found]).encode())
    source = "embedded" if folder is None else "folder"
    return PictureSet(source, tuple(found), tuple(failed), digest.hexdigest())


def _with_distortions(photographs: list[BenchPicture], limit: int, seed: int) -> list[BenchPicture]:
    """Return the photographs followed by distorted ones, one distortion after another, at most ``limit``."""
    pictures = list(photographs)
    for variant, (name, strength) in enumerate(VARIANTS):
        for index, photograph in enumerate(photographs):
            label = f"{photograph.name} {name}={strength:g}"
            own_seed = seed + 1000 * variant + index
            pictures.append(BenchPicture(photograph.path, label, photograph.size_bytes, name, strength, own_seed))
    return pictures[:limit]
