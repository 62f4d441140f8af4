"""The pictures whose keep and drop are exchanged: saved to a folder, and as small previews for the page."""

from __future__ import annotations

import csv
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_iqa.benchmarks.drift import flipped
from edge_iqa.benchmarks.pictures import BenchPicture
from edge_iqa.benchmarks.results import BenchResult
from edge_iqa.errors import InvalidInput

THUMBNAIL_PIXELS = 160
MAX_THUMBNAILS = 60
INDEX = "flips.csv"
_COLUMNS = ("step", "compared_with", "picture", "file", "before", "after", "threshold")


@dataclass(frozen=True)
class Flip:
    """One picture that one side keeps and the other drops; scores before and after, at ``threshold``."""

    step: str
    against: str
    position: int
    before: float
    after: float
    threshold: float


def find_flips(result: BenchResult) -> Iterator[Flip]:
    """Yield the flips of each row against the reference, then of each step of the waterfall against its own."""
    for row in result.rows:
        if row.drift is not None:
            yield from _flips(row.label, row.drift.reference, result.reference_scores, row.scores, row.drift.threshold)
    scores = {step.step: step.scores for step in result.waterfall}
    for step in result.waterfall:
        if step.drift is not None and step.against is not None:
            yield from _flips(step.step, step.against, scores[step.against], step.scores, step.drift.threshold)


def _flips(
    step: str, against: str, before: Sequence[float], after: Sequence[float], threshold: float
) -> Iterator[Flip]:
    for position in map(int, flipped(before, after, threshold).nonzero()[0]):
        yield Flip(step, against, position, before[position], after[position], threshold)


def save_flips(result: BenchResult, pictures: Sequence[BenchPicture], folder: Path) -> int:
    """Write each flipped picture below ``folder/STEP/`` and a table of all; return how many flips there are.

    A file is copied as it is; a picture that was distorted first becomes a PNG. Raises InvalidInput where the
    folder cannot be written.
    """
    rows = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for flip in find_flips(result):
            target = folder / file_name(flip.step)
            target.mkdir(exist_ok=True)
            written = _write(pictures[flip.position], target, flip.position)
            name = written.relative_to(folder).as_posix()
            label = result.images.names[flip.position]
            values = (f"{flip.before:.6f}", f"{flip.after:.6f}", f"{flip.threshold:.6f}")
            rows.append((flip.step, flip.against, label, name, *values))
        with (folder / INDEX).open("w", encoding="utf-8", errors="surrogateescape", newline="") as stream:
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerows([_COLUMNS, *rows])
    except OSError as error:
        raise InvalidInput(f"{folder} cannot be written", why=error.strerror or str(error)) from error
    return len(rows)


def thumbnails(result: BenchResult, pictures: Sequence[BenchPicture]) -> Mapping[int, bytes]:
    """Return small JPEGs of up to MAX_THUMBNAILS flipped pictures by position, those that flip most often first."""
    counts: dict[int, int] = {}
    for flip in find_flips(result):
        counts[flip.position] = counts.get(flip.position, 0) + 1
    chosen = sorted(counts, key=lambda position: (-counts[position], position))[:MAX_THUMBNAILS]
    return {position: _thumbnail(pictures[position]) for position in chosen}


def file_name(text: str) -> str:
    """Return ``text`` with nothing in it that a file system or a shell would take amiss."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip(".-") or "picture"


def _write(picture: BenchPicture, folder: Path, position: int) -> Path:
    import cv2

    source = Path(picture.path)
    stem = f"{position:04d}-{file_name(Path(picture.name).name)}"
    if picture.distortion is None:
        return Path(shutil.copyfile(source, folder / f"{Path(stem).stem}{source.suffix.lower()}"))
    path = folder / f"{stem}.png"
    done, data = cv2.imencode(".png", cv2.cvtColor(picture.load(), cv2.COLOR_RGB2BGR))
    assert done
    path.write_bytes(data.tobytes())
    return path


def _thumbnail(picture: BenchPicture) -> bytes:
    import cv2

    pixels = picture.load()
    scale = min(THUMBNAIL_PIXELS / max(pixels.shape[:2]), 1.0)
    size = (max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale)))
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    done, data = cv2.imencode(".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 80])
    assert done
    return bytes(data.tobytes())
