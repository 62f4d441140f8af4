"""The pictures of a folder as if they were a video, in the order of their names."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

from edge_iqa.camera.source import Grab, Pixels, SourceOptions
from edge_iqa.decode import read_image
from edge_iqa.errors import CameraCodec, CameraNotFound, ImageError

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".ppm", ".pgm", ".pnm")
DEFAULT_FPS = 30.0


class FolderSource:
    """Pictures directly inside a folder; ``time_s`` is the position divided by ``fps``, 30 if not given.

    A picture that cannot be read is a broken frame, as it would be in a video.
    """

    live = False

    def __init__(self, folder: Path, options: SourceOptions) -> None:
        self.name = str(folder)
        self._folder = folder
        self._fps = options.fps or DEFAULT_FPS
        self._paths: Iterator[tuple[int, str]] = iter(())

    def open(self) -> None:
        try:
            names = sorted(entry.name for entry in os.scandir(self._folder) if not entry.is_dir())
        except OSError as error:
            raise CameraNotFound(f"The folder {self._folder} cannot be read", why=error.strerror or "") from error
        pictures = [name for name in names if Path(name).suffix.lower() in PICTURE_SUFFIXES]
        if not pictures:
            raise CameraCodec(f"There are no pictures in {self._folder}", fix=f"known: {' '.join(PICTURE_SUFFIXES)}")
        self._paths = enumerate(str(self._folder / name) for name in pictures)

    def grab(self) -> Grab | None:
        index, path = next(self._paths, (-1, ""))
        if index < 0:
            return None
        return Grab(time.monotonic(), index / self._fps, lambda: _read(path))

    def close(self) -> None:
        self._paths = iter(())

    def interrupt(self) -> None:
        """Reading a file does not wait."""


def _read(path: str) -> Pixels | None:
    try:
        return read_image(path)
    except ImageError:
        return None
