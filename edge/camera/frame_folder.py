"""A folder of pictures with a limit: each written whole or not at all, the oldest removed when it is full."""

from __future__ import annotations

import contextlib
import errno
import os
import re
from collections import deque
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_iqa.errors import InvalidInput, SinkError

FORMATS = ("jpg", "png")
_PARTIAL = ".partial"


class FrameFolder:
    """Pictures named ``frame_RUN_NUMBER.jpg``, at most ``max_count`` of them and ``max_bytes`` in all.

    ``RUN`` is one more than the highest in the folder, so that a restarted service overwrites nothing and names sort
    by time. Earlier runs count towards the limits. A picture appears under its name only when it is complete; what
    a killed run left unfinished is removed. Files with other names are never touched.
    """

    def __init__(
        self,
        folder: Path,
        *,
        max_bytes: int = 1 << 30,
        max_count: int = 10_000,
        picture_format: str = "jpg",
        jpeg_quality: int = 92,
    ) -> None:
        if picture_format not in FORMATS:
            raise InvalidInput(f"There is no picture format {picture_format!r}", fix=f"one of: {', '.join(FORMATS)}")
        if max_bytes < 1 or max_count < 1 or not 1 <= jpeg_quality <= 100:
            raise InvalidInput("A folder's limits must be at least 1, and the JPEG quality 1 to 100")
        self.folder = folder
        self.max_bytes = max_bytes
        self.max_count = max_count
        self.removed = 0
        self.bytes = 0
        self._suffix = f".{picture_format}"
        self._quality = jpeg_quality
        self._files: deque[tuple[Path, int]] = deque()
        self._pattern = re.compile(r"frame_(\d{4,})_(\d{6,})\.(jpg|png)")
        _make_writable(folder)
        self.run = self._take_stock() + 1

    def __len__(self) -> int:
        return len(self._files)

    def path_of(self, number: int) -> Path:
        """Return the path that frame ``number`` of this run has or would have."""
        return self.folder / f"frame_{self.run:04d}_{number:06d}{self._suffix}"

    def write(self, number: int, pixels: NDArray[np.uint8]) -> Path:
        """Write uint8 RGB pixels (H, W, 3) as frame ``number``; raises OSError where the disk does not take it."""
        data = self._encode(pixels)
        if len(data) > self.max_bytes:
            raise OSError(errno.EFBIG, "one picture is larger than the folder may be", str(self.folder))
        self._make_room(len(data))
        path = self.path_of(number)
        partial = path.with_name(path.name + _PARTIAL)
        try:
            partial.write_bytes(data)
            os.replace(partial, path)
        except OSError:
            with contextlib.suppress(OSError):
                partial.unlink()
            raise
        self._files.append((path, len(data)))
        self.bytes += len(data)
        return path

    def _encode(self, pixels: NDArray[np.uint8]) -> bytes:
        import cv2

        options = [cv2.IMWRITE_JPEG_QUALITY, self._quality] if self._suffix == ".jpg" else []
        done, data = cv2.imencode(self._suffix, cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), options)
        if not done:
            raise OSError(errno.EINVAL, "the picture cannot be encoded")
        return bytes(data.tobytes())

    def _make_room(self, size_bytes: int) -> None:
        while self._files and (len(self._files) >= self.max_count or self.bytes + size_bytes > self.max_bytes):
            path, old_bytes = self._files[0]
            path.unlink(missing_ok=True)
            self._files.popleft()
            self.bytes -= old_bytes
            self.removed += 1

    def _take_stock(self) -> int:
        """Register the pictures of earlier runs, oldest first; return the highest run number."""
        found: list[tuple[int, int, Path, int]] = []
        for entry in os.scandir(self.folder):
            if not entry.is_file(follow_symlinks=False):
                continue
            match = self._pattern.fullmatch(entry.name.removesuffix(_PARTIAL))
            if match is None:
                continue
            size_bytes = entry.stat(follow_symlinks=False).st_size
            if entry.name.endswith(_PARTIAL) or size_bytes == 0:  # cut off by a kill or a power failure
                os.unlink(entry.path)
                continue
            found.append((int(match[1]), int(match[2]), Path(entry.path), size_bytes))
        self._files.extend((path, size_bytes) for _, _, path, size_bytes in sorted(found))
        self.bytes = sum(size_bytes for _, size_bytes in self._files)
        return max((run for run, *_ in found), default=0)


def _make_writable(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".probe{_PARTIAL}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise SinkError(f"{folder} cannot be used as a folder for frames", why=error.strerror or str(error)) from error
