"""Does a bundle give on this machine what it gave where it was made? Golden tensors first, then golden scores.

A tensor that differs is a fault of pre-processing (another OpenCV, another rule); a score that differs while its
tensor is the same is a fault of the runtime. Only whole bundles come here: reading one checks every byte.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np
from numpy.typing import NDArray

from edge_iqa.backends.base import BACKEND_NAMES, backend_class, needed_files, split_backend
from edge_iqa.bundle import Bundle
from edge_iqa.errors import DeviceUnavailable, EdgeIqaError, InvalidInput
from edge_iqa.golden import GoldenPicture, TensorCheck, compare_tensor, golden_image, read_golden
from edge_iqa.preprocess import preprocess
from edge_iqa.scorer import KNOWN_PRECISIONS

FLOAT_TOLERANCE = 1e-3
_REPEATS = 5


@dataclass(frozen=True)
class TensorRow:
    """The input tensor of one golden picture, made here."""

    picture: str
    check: TensorCheck


@dataclass(frozen=True)
class TargetRow:
    """One runtime in one precision over all golden pictures.

    ``status`` is ``pass``, ``miss``, ``failed`` (the runtime refused the model or broke its contract) or ``absent``
    (not on this machine, or not in the bundle). ``max_difference`` is that from the expected scores, whose runtime
    and precision ``reference`` names. ``load_ms`` and ``median_ms`` are a first impression; ``edge-iqa bench``
    measures.
    """

    backend: str
    precision: str
    status: str
    version: str | None = None
    reference: str | None = None
    max_difference: float | None = None
    tolerance: float | None = None
    worst_picture: str | None = None
    load_ms: float | None = None
    median_ms: float | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Verification:
    """All rows; ``passed`` is whether no tensor and no score missed, and at least one runtime was checked."""

    tensors: tuple[TensorRow, ...]
    targets: tuple[TargetRow, ...]

    @property
    def tensors_pass(self) -> bool:
        return all(row.check.status != "different" for row in self.tensors)

    @property
    def checked(self) -> tuple[TargetRow, ...]:
        return tuple(row for row in self.targets if row.status != "absent")

    @property
    def passed(self) -> bool:
        return self.tensors_pass and bool(self.checked) and all(row.status == "pass" for row in self.checked)

    def fault(self) -> str:
        """Return what is to blame, in one sentence; empty where everything passed."""
        missed = [f"{row.backend} {row.precision}" for row in self.checked if row.status != "pass"]
        if not self.tensors_pass:
            return "pre-processing: the input tensors differ from the golden ones, so that scores cannot agree"
        if missed:
            return f"runtime: the input tensors are right, but not the scores of {', '.join(missed)}"
        return "" if self.checked else "no runtime was checked"

    def recommended(self) -> TargetRow | None:
        """Return the fastest row that passed among the reduced precisions, or among all if there is none."""
        passed = [row for row in self.targets if row.status == "pass" and row.median_ms is not None]
        reduced = [row for row in passed if row.precision != "fp32"] or passed
        return min(reduced, key=lambda row: row.median_ms or 0.0, default=None)


def choose_targets(backends: Sequence[str], precisions: Sequence[str]) -> list[tuple[str, str]]:
    """Return the pairs (runtime, precision) to check; ``all`` in either means every one that fits.

    Raises InvalidInput for a name that is not known, and DeviceUnavailable for a runtime that was named and is not
    there.
    """
    unknown = [name for name in precisions if name not in ("all", *KNOWN_PRECISIONS)]
    if unknown:
        known = ", ".join(("all", *KNOWN_PRECISIONS))
        raise InvalidInput(f"There is no precision {unknown[0]!r}", fix=f"one of: {known}")
    named = BACKEND_NAMES if "all" in backends else tuple(dict.fromkeys(backends))
    wanted = KNOWN_PRECISIONS if "all" in precisions else tuple(dict.fromkeys(precisions))
    pairs = []
    for backend in named:
        found = backend_class(split_backend(backend)[0])
        reason = found.unavailable()
        if reason is not None and "all" not in backends:
            raise DeviceUnavailable(f"The backend {backend} cannot be used here", why=reason)
        pairs += [(backend, precision) for precision in wanted if precision in found.artefacts]
    if not pairs:
        raise InvalidInput(f"None of these runtimes has the precision {', '.join(precisions)}")
    return pairs


def verify(bundle: Bundle, targets: Sequence[tuple[str, str]]) -> Verification:
    """Check the golden tensors, then the golden scores of every target; raises GoldenRefused without them."""
    golden = read_golden(bundle).pictures
    tensors = [preprocess(golden_image(bundle, entry), bundle.manifest.preprocess) for entry in golden]
    rows = tuple(
        TensorRow(entry.picture, compare_tensor(tensor, entry)) for entry, tensor in zip(golden, tensors, strict=True)
    )
    return Verification(rows, tuple(_check(bundle, *target, golden, tensors) for target in targets))


def _check(
    bundle: Bundle,
    backend: str,
    precision: str,
    golden: Sequence[GoldenPicture],
    tensors: Sequence[NDArray[np.uint8]],
) -> TargetRow:
    name, device = split_backend(backend)
    found = backend_class(name)
    reason = found.unavailable()
    names = needed_files(found, precision, device)
    missing = [file for file in names if file not in bundle.files]
    if reason is not None or missing:
        return TargetRow(backend, precision, "absent", reason=reason or f"the bundle has no {missing[0]}")
    reference = _reference(name, precision, names, golden)
    if reference is None:
        return TargetRow(backend, precision, "absent", reason="the bundle expects no score of it")
    try:
        start = time.perf_counter()
        loaded = found({file: bundle.files[file] for file in names}, device=device, precision=precision)
        load_ms = (time.perf_counter() - start) * 1e3
        try:
            scores = [loaded.infer(tensor) for tensor in tensors]
            median_ms = _median_ms(loaded, tensors)
        finally:
            loaded.close()
    except DeviceUnavailable as error:
        if device is not None:  # it was asked for by name
            raise
        return TargetRow(backend, precision, "absent", reason=f"{error.what} ({error.why})")
    except EdgeIqaError as error:
        return TargetRow(backend, precision, "failed", reason=f"{error.code}: {error.what} ({error.why})")
    differences = [abs(score - entry.scores[reference]) for score, entry in zip(scores, golden, strict=True)]
    worst = int(np.argmax(differences))
    tolerance = FLOAT_TOLERANCE if precision == "fp32" else bundle.manifest.golden_tolerance
    return TargetRow(
        backend,
        precision,
        "pass" if differences[worst] <= tolerance else "miss",
        version=loaded.version,
        reference=reference,
        max_difference=differences[worst],
        tolerance=tolerance,
        worst_picture=golden[worst].picture,
        load_ms=load_ms,
        median_ms=median_ms,
    )


def _reference(name: str, precision: str, files: Sequence[str], golden: Sequence[GoldenPicture]) -> str | None:
    """Return the key of the expected scores: the runtime's own, else those of ONNX Runtime; fp16 is held to fp32.

    Whatever runs TensorRT's graph is held to that graph.
    """
    kind = "fp32" if precision == "fp16" else precision
    own = "tensorrt" if "model.int8.onnx" in files else name
    keys = (f"{own}.{kind}", f"onnxruntime.{kind}")
    return next((key for key in keys if all(key in entry.scores for entry in golden)), None)


def _median_ms(loaded: object, tensors: Sequence[NDArray[np.uint8]]) -> float:
    taken = []
    for _ in range(_REPEATS):
        for tensor in tensors:
            start = time.perf_counter()
            loaded.infer(tensor)  # type: ignore[attr-defined]
            taken.append((time.perf_counter() - start) * 1e3)
    return median(taken)
