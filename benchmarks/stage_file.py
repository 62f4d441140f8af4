"""``golden/stages.json``: scores of the embedded pictures at the stages that only training could run.

The teacher, the float student in PyTorch and the fake-quantized student are not in a bundle, but their scores
of the embedded pictures are, so that a device without torch can show the whole waterfall. A picture is known
by the sha256 of its input tensor: where a decoder or a resize differs, no score is taken for granted.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_iqa.benchmarks.waterfall import FAKE_QUANT, STUDENT, TEACHER, TEACHER_RESIZED
from edge_iqa.bundle import Bundle
from edge_iqa.errors import BundleRefused, InvalidInput
from edge_iqa.spec import from_document

STAGE_FILE = "golden/stages.json"
SCHEMA_VERSION = 1
STORED_STAGES = (TEACHER, TEACHER_RESIZED, STUDENT, FAKE_QUANT)
_DIGITS = 16  # of a sha256, enough to tell a few hundred pictures apart
_DECIMALS = 6


@dataclass(frozen=True)
class StageScores:
    """The file: the first 16 hex digits of each picture's tensor, and per stage a score for each."""

    schema_version: int
    pictures: tuple[str, ...]
    scores: dict[str, tuple[float, ...]]


def tensor_key(tensor: NDArray[np.uint8]) -> str:
    """Return what an input tensor ``(1, H, W, 3)`` uint8 is known by in the file."""
    return hashlib.sha256(tensor.tobytes()).hexdigest()[:_DIGITS]


def stage_file(keys: Sequence[str], scores: Mapping[str, Sequence[float]]) -> bytes:
    """Return the file for pictures with ``keys`` and, per stage of STORED_STAGES, a score for each."""
    assert all(stage in STORED_STAGES and len(values) == len(keys) for stage, values in scores.items())
    document = {
        "schema_version": SCHEMA_VERSION,
        "pictures": list(keys),
        "scores": {stage: [round(value, _DECIMALS) for value in values] for stage, values in scores.items()},
    }
    return json.dumps(document).encode()


def read_stage_scores(bundle: Bundle) -> StageScores | None:
    """Return the stored scores of a bundle, None where it has none; raises BundleRefused for a broken file."""
    content = bundle.files.get(STAGE_FILE)
    if content is None:
        return None
    try:
        found = from_document(StageScores, json.loads(content), STAGE_FILE)
    except (ValueError, RecursionError, InvalidInput) as error:
        raise BundleRefused(f"{bundle.path.name}: {STAGE_FILE} cannot be read", why=str(error)) from error
    lengths = {len(values) for values in found.scores.values()} | {len(found.pictures)}
    if found.schema_version != SCHEMA_VERSION or len(lengths) != 1:
        raise BundleRefused(
            f"{bundle.path.name}: {STAGE_FILE} cannot be read",
            why=f"its schema_version is {found.schema_version}, its series have {sorted(lengths)} values",
        )
    return found


def look_up(stored: StageScores | None, stage: str, keys: Sequence[str]) -> tuple[list[float], str | None]:
    """Return the stored scores of a stage for pictures with ``keys``, or ``[]`` and why there are none."""
    if stored is None or stage not in stored.scores:
        return [], "the bundle holds no scores of this stage"
    by_key = dict(zip(stored.pictures, stored.scores[stage], strict=True))
    found = [by_key[key] for key in keys if key in by_key]
    if len(found) < len(keys):
        count = f"{len(found)} of these {len(keys)} pictures"
        return [], f"the bundle holds this stage's scores of the embedded pictures only ({count})"
    return found, None
