"""A bundle for one device: only the models of the runtimes that it has, everything else as it was."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from edge_iqa.backends.base import backend_class, needed_files, split_backend
from edge_iqa.bundle import Bundle, write_bundle
from edge_iqa.errors import InvalidInput

MODEL_PREFIXES = ("model.", "openvino/")


def parse_kept(text: str) -> list[tuple[str, str]]:
    """Return the pairs (backend, precision) of ``openvino:int8,tensorrt:dla0:fp16``; raises InvalidInput."""
    kept = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        backend, colon, precision = part.rpartition(":")
        if not colon:
            raise InvalidInput(f"{part!r} names no precision", fix="such as onnxruntime:int8")
        kept.append((backend, precision))
    if not kept:
        raise InvalidInput("Nothing was named to keep", fix="such as onnxruntime:int8,tflite:int8")
    return kept


def slim(bundle: Bundle, kept: Sequence[tuple[str, str]], path: Path) -> None:
    """Write to ``path`` what ``bundle`` holds for the targets ``kept`` (backend, precision), golden files and card.

    Its provenance names the bundle that it comes from. Raises InvalidInput for a target that is not known or a
    ``path`` that cannot be written, and BundleRefused where the bundle lacks a model.
    """
    models: dict[str, bytes] = {}
    for backend, precision in kept:
        name, device = split_backend(backend)
        models |= bundle.take(needed_files(backend_class(name), precision, device), f"{backend} {precision}")
    others = {name: content for name, content in bundle.files.items() if not name.startswith(MODEL_PREFIXES)}
    provenance = {**bundle.manifest.provenance, "slim_from_sha256": bundle.sha256}
    write_bundle(path, dataclasses.replace(bundle.manifest, provenance=provenance), {**others, **models})
