"""Score pictures with a bundle on a runtime: the one class that score, bench and watch use."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from edge_iqa.backends.base import backend_class, choose_backend, needed_files, split_backend
from edge_iqa.bundle import Bundle, default_bundle_path, read_bundle
from edge_iqa.decode import read_image
from edge_iqa.errors import DeviceUnavailable, InvalidInput
from edge_iqa.preprocess import preprocess

KNOWN_PRECISIONS = ("int8", "fp16", "fp32")
Image = str | os.PathLike[str] | NDArray[np.uint8]


@dataclass(frozen=True)
class StageTimes:
    """Where one score's time went, in milliseconds; ``decode`` is 0 for an array."""

    decode: float
    resize: float
    infer: float

    @property
    def total(self) -> float:
        return self.decode + self.resize + self.infer


@dataclass(frozen=True)
class Score:
    """The quality of one picture: ``value`` in [0, 1], higher is better; ``width`` and ``height`` in pixels."""

    value: float
    width: int
    height: int
    stages_ms: StageTimes

    @property
    def latency_ms(self) -> float:
        """Time from the call to the score, decoding included, in milliseconds."""
        return self.stages_ms.total


class Scorer:
    """A bundle loaded on one runtime; call it with a path or a uint8 RGB array ``(H, W, 3)``.

    The same picture gives the same score, alone or among others. Not safe for use from several threads at once;
    make one Scorer per thread. Usable as a context manager.
    """

    def __init__(
        self, bundle: Bundle, backend: str = "auto", precision: str = "int8", threads: int | None = None
    ) -> None:
        if precision not in KNOWN_PRECISIONS:
            raise InvalidInput(f"There is no precision {precision!r}", fix=f"one of: {', '.join(KNOWN_PRECISIONS)}")
        if threads is not None and threads < 1:
            raise InvalidInput("The number of threads must be at least 1", why=f"got {threads}")
        self.bundle = bundle
        self.precision = precision
        self.threads = threads
        name, device = split_backend(choose_backend(precision, bundle.files) if backend == "auto" else backend)
        found = backend_class(name)
        reason = found.unavailable()
        if reason is not None:
            raise DeviceUnavailable(f"The backend {found.name} cannot be used here", why=reason)
        files = bundle.take(needed_files(found, precision, device), f"{found.name} {precision}")
        self.backend = found(files, threads=threads, device=device, precision=precision)

    def __call__(self, image: Image) -> Score:
        """Score one picture.

        Raises ImageError for a file that is not a usable picture, InvalidInput for a wrong array, and
        BackendMismatch where the runtime gives no valid score.
        """
        start = time.perf_counter()
        pixels = image if isinstance(image, np.ndarray) else read_image(image)
        decoded = time.perf_counter()
        tensor = preprocess(pixels, self.bundle.manifest.preprocess)
        resized = time.perf_counter()
        value = self.backend.infer(tensor)
        done = time.perf_counter()
        from_file = 0.0 if isinstance(image, np.ndarray) else decoded - start
        stages = StageTimes(from_file * 1e3, (resized - decoded) * 1e3, (done - resized) * 1e3)
        return Score(value, int(pixels.shape[1]), int(pixels.shape[0]), stages)

    def many(self, images: Iterable[Image]) -> Iterator[Score]:
        """Score pictures one after another, lazily; the first bad one raises."""
        return map(self, images)

    def close(self) -> None:
        """Release the runtime's memory."""
        self.backend.close()

    def __enter__(self) -> Scorer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def load(
    bundle: str | os.PathLike[str] | None = None,
    backend: str = "auto",
    precision: str = "int8",
    threads: int | None = None,
) -> Scorer:
    """Load a bundle (None: the embedded default) on a runtime.

    ``backend`` is ``auto``, the fastest runtime present that the bundle has a model for, or a name from
    ``edge_iqa.backends.base.BACKEND_NAMES``, with a device after a colon where it is not the runtime's first
    (``openvino:gpu``, ``onnxruntime:cuda``, ``tensorrt:dla0``); ``precision`` is ``int8``, ``fp32`` or, on TensorRT,
    ``fp16``; ``threads`` the number of threads of the runtime (None: its own default).
    """
    return Scorer(read_bundle(default_bundle_path() if bundle is None else bundle), backend, precision, threads)
