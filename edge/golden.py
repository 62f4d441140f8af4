"""The golden pictures of a bundle: what their input tensors and scores were where the bundle was made.

``golden/expected.json`` holds, per picture, the sha256 and the mean of its pre-processed tensor, some of the
tensor's values, and the score of every runtime and precision. With them, another machine can tell a fault of
pre-processing from a fault of a runtime.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_iqa.bundle import Bundle
from edge_iqa.decode import decode_image
from edge_iqa.errors import EdgeIqaError, GoldenRefused, InvalidInput
from edge_iqa.spec import from_document

EXPECTED = "golden/expected.json"
SCHEMA_VERSION = 1
SAMPLES = 600
# A resize in another instruction set may round one level apart; a wrong rule is tens of levels apart.
LEVEL_TOLERANCE = 2
MEAN_TOLERANCE = 0.05


@dataclass(frozen=True)
class TensorSamples:
    """Every ``step``-th value of a tensor, flattened in C order; levels from 0 to 255."""

    step: int
    values: tuple[int, ...]


@dataclass(frozen=True)
class GoldenPicture:
    """One picture's name in the bundle and what is expected of it; ``scores`` maps ``runtime.precision`` to a score.

    ``tensor_samples`` is None in bundles that were made before it was known.
    """

    picture: str
    tensor_sha256: str
    tensor_mean: float
    scores: dict[str, float]
    tensor_samples: TensorSamples | None = None


@dataclass(frozen=True)
class GoldenSet:
    """The document ``golden/expected.json``."""

    schema_version: int
    pictures: tuple[GoldenPicture, ...]


@dataclass(frozen=True)
class TensorCheck:
    """How a tensor made here compares with the golden one: ``same``, ``close`` or ``different``.

    ``max_levels`` is the largest difference among the samples in levels of 0 to 255, None without samples.
    """

    status: str
    mean_difference: float
    max_levels: int | None


def read_golden(bundle: Bundle) -> GoldenSet:
    """Return what a bundle expects of its golden pictures; raises GoldenRefused where it cannot be used."""
    try:
        found = from_document(GoldenSet, json.loads(bundle.files[EXPECTED]), EXPECTED)
    except KeyError as error:
        raise _refused(bundle, f"there is no {EXPECTED}") from error
    except (ValueError, RecursionError, InvalidInput) as error:
        raise _refused(bundle, " ".join(str(error).split())) from error
    if found.schema_version != SCHEMA_VERSION:
        raise _refused(bundle, f"{EXPECTED} has schema_version {found.schema_version}, this reads {SCHEMA_VERSION}")
    if not found.pictures:
        raise _refused(bundle, f"{EXPECTED} lists no pictures")
    return found


def golden_image(bundle: Bundle, golden: GoldenPicture) -> NDArray[np.uint8]:
    """Return a golden picture's pixels, uint8 RGB ``(H, W, 3)``; raises GoldenRefused where there are none."""
    if golden.picture not in bundle.files:
        raise _refused(bundle, f"there is no {golden.picture}")
    try:
        return decode_image(bundle.files[golden.picture], golden.picture)
    except EdgeIqaError as error:
        raise _refused(bundle, f"{golden.picture}: {error.what}") from error


def sample_tensor(tensor: NDArray[np.uint8]) -> TensorSamples:
    """Return about SAMPLES evenly spaced values of a tensor; the step is odd, so that no colour is missed."""
    step = max(1, tensor.size // SAMPLES) | 1
    step += 2 if step % 3 == 0 else 0  # a multiple of 3 would see one colour only
    return TensorSamples(step, tuple(int(value) for value in tensor.reshape(-1)[::step]))


def compare_tensor(tensor: NDArray[np.uint8], golden: GoldenPicture) -> TensorCheck:
    """Compare a pre-processed tensor ``(1, H, W, 3)`` uint8 with what the golden picture expects."""
    difference = abs(float(tensor.mean()) - golden.tensor_mean)
    if hashlib.sha256(tensor.tobytes()).hexdigest() == golden.tensor_sha256:
        return TensorCheck("same", difference, 0)
    samples = golden.tensor_samples
    if samples is None:
        return TensorCheck("close" if difference <= MEAN_TOLERANCE else "different", difference, None)
    here = tensor.reshape(-1)[:: max(1, samples.step)].astype(np.int64)
    there = np.array(samples.values, np.int64)
    if here.shape != there.shape:
        return TensorCheck("different", difference, None)
    levels = int(np.abs(here - there).max())
    close = levels <= LEVEL_TOLERANCE and difference <= MEAN_TOLERANCE
    return TensorCheck("close" if close else "different", difference, levels)


def _refused(bundle: Bundle, why: str) -> GoldenRefused:
    return GoldenRefused(
        f"The golden pictures of {bundle.path.name} cannot be used",
        why=why,
        fix="rebuild the bundle with 'edge-iqa quantize'",
    )
