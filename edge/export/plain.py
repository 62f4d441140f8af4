"""A bundle's models as plain files, for use without edge-iqa, with a README that says how to feed them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from edge_iqa.bundle import Bundle
from edge_iqa.errors import InvalidInput, MissingDependency
from edge_iqa.export.plain_cpp import cpp_files, preprocess_document
from edge_iqa.export.plain_readme import readme

# target → the bundle's files for it, float first
TARGET_FILES: Mapping[str, tuple[str, ...]] = {
    "onnx": ("model.onnx", "model.int8.u8.onnx"),
    "openvino": ("model.onnx", "openvino/model.xml", "openvino/model.bin"),
    "tflite": ("model.tflite", "model.int8.tflite"),
    "tensorrt": ("model.onnx", "model.int8.onnx"),
}


def parse_targets(text: str) -> tuple[str, ...]:
    """Return the targets of a comma-separated list, each once, in their given order; raises InvalidInput."""
    targets = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    unknown = [target for target in targets if target not in TARGET_FILES]
    if unknown or not targets:
        raise InvalidInput(
            f"There is no export target {unknown[0]!r}" if unknown else "No export target was named",
            fix=f"one or more of: {','.join(TARGET_FILES)}",
        )
    return targets


def export_plain(bundle: Bundle, targets: Sequence[str], folder: Path, *, force: bool = False) -> list[Path]:
    """Write the float and int8 models for ``targets`` below ``folder`` and return the files written.

    Each target has a folder of its own, ``folder/TARGET/``; the files keep their names and bytes. Beside them
    lie ``preprocess.json``, C++ examples in ``cpp/``, and a ``README.md`` that lists all with their sha256. The
    target tensorrt also gets the graph's variants for other TensorRT versions where the package onnx is there to
    make them. Nothing is written before everything was checked: raises InvalidInput for an unknown target and for
    a folder that holds something already (``force`` writes into it, leaving other files alone), BundleRefused
    where the bundle lacks a file.
    """
    targets = parse_targets(",".join(targets))
    content: dict[str, bytes] = {}
    for target in targets:
        for name, data in bundle.take(TARGET_FILES[target], f"the export target {target}").items():
            content[f"{target}/{Path(name).name}"] = data
    if "tensorrt" in targets:
        content |= _tensorrt_variants(bundle)
    content |= cpp_files(targets)
    content["preprocess.json"] = preprocess_document(bundle)
    content["README.md"] = readme(bundle, targets, content).encode()
    if folder.exists() and not folder.is_dir():
        raise InvalidInput(f"{folder} is not a folder", fix="name another one with -o")
    try:
        if not force and folder.is_dir() and any(folder.iterdir()):
            raise InvalidInput(
                f"The folder {folder} is not empty",
                why="nothing in it is overwritten unasked",
                fix="name another one with -o, or write into it with --force",
            )
        return [_write(folder / name, data) for name, data in sorted(content.items())]
    except OSError as error:
        raise InvalidInput(
            f"The folder {folder} cannot be written", why=str(error), fix="name another one with -o"
        ) from error


def _tensorrt_variants(bundle: Bundle) -> dict[str, bytes]:
    """Return the graph's variants below ``tensorrt/``; none where onnx is not installed."""
    from edge_iqa.export.tensorrt_variants import variants

    try:
        made = variants(bundle.files["model.int8.onnx"], bundle.files["model.onnx"])
    except MissingDependency:
        return {}
    return {f"tensorrt/{name}": data for name, data in made.items()}


def _write(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        temporary.write_bytes(data)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return path
