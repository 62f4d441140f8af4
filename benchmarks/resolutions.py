"""What the input's size costs and brings: the int8 model of a bundle at several sizes, agreement with people and time.

    python -m edge_iqa.benchmarks.resolutions DATA [--bundle B.eiqa] [--sizes 224,384] [--patches 0,1,4] [--points F]

The network is convolutions and means, so its graph serves any size that is a multiple of 32; nothing is trained anew.
Each size takes the whole picture, shrunk until it just covers it (0 patches), or patches of the picture whose shorter
side is shrunk to that of the bundle, or to 512 pixels: the middle (1), or the corners, whose scores are averaged (4).
DATA holds ``biq2021-dev/index.csv`` and ``authentic-dev/pairs.csv``. Time is the median of one inference on an input in
memory, times the patches; the sizes take turns, so that a busy minute falls on all of them, and each is alone in the
process: the waiting threads of one runtime would slow another. Prints Markdown; ``--points`` writes the input of
``edge_iqa.benchmarks.pareto``.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edge_iqa.backends.base import Backend
from edge_iqa.backends.onnxruntime import OnnxRuntimeBackend
from edge_iqa.backends.openvino import OpenVinoBackend
from edge_iqa.benchmarks.opinion_tables import pictures_of, read_opinions, read_pairs
from edge_iqa.benchmarks.stats_correlation import srocc
from edge_iqa.benchmarks.timing_in_turns import TimedModel, medians_ms
from edge_iqa.bundle import Bundle, default_bundle_path, read_bundle
from edge_iqa.decode import read_image
from edge_iqa.errors import InvalidInput
from edge_iqa.export.openvino import stored
from edge_iqa.preprocess import input_spec, preprocess
from edge_iqa.progress import track

if TYPE_CHECKING:
    import onnx

SIZES = (224, 256, 288, 320, 384, 448, 512)
FASTEST = "openvino int8"
PIXELS = {0: "all", 1: "middle", 4: "corners"}
SHORTER_SIDE = 512


def resized(content: bytes, side: int) -> onnx.ModelProto:
    """Return the graph of a bundle for inputs of ``side`` x ``side`` pixels."""
    import onnx

    if side % 32:
        raise InvalidInput(f"The size {side} cannot be used", fix="a multiple of 32")
    model = onnx.load_from_string(content)
    for dimension in model.graph.input[0].type.tensor_type.shape.dim[1:3]:
        dimension.dim_value = side
    del model.graph.value_info[:]  # sizes inside the graph are inferred anew
    return model


def resized_openvino(bundle: Bundle, side: int) -> dict[str, bytes]:
    """Return the bundle's own OpenVINO files for inputs of ``side`` x ``side`` pixels."""
    import openvino

    xml, weights = (bundle.files[f"openvino/model.{end}"] for end in ("xml", "bin"))
    model = openvino.Core().read_model(xml, weights)
    model.reshape([1, side, side, 3])
    xml, weights = stored(model)
    return {"openvino/model.xml": xml, "openvino/model.bin": weights}


def makers(bundle: Bundle, side: int, threads: int) -> dict[str, Callable[[], Backend]]:
    """Return how the int8 and fp32 runtimes that are compared are loaded for one size."""
    whole, rounded = (resized(bundle.files[name], side) for name in ("model.onnx", "model.int8.u8.onnx"))
    as_int8, as_float = rounded.SerializeToString(), whole.SerializeToString()
    as_openvino = resized_openvino(bundle, side)
    return {
        FASTEST: lambda: OpenVinoBackend(as_openvino, threads=threads),
        "onnxruntime int8": lambda: OnnxRuntimeBackend({"model.int8.u8.onnx": as_int8}, threads=threads),
        "openvino fp32": lambda: OpenVinoBackend({"model.onnx": as_float}, threads=threads),
        "onnxruntime fp32": lambda: OnnxRuntimeBackend({"model.onnx": as_float}, threads=threads),
    }


def views(picture: NDArray[np.uint8], side: int, patches: int, shorter_side: int) -> list[NDArray[np.uint8]]:
    """Return the inputs ``(1, side, side, 3)`` of a picture ``(H, W, 3)``: one of all of it, or 1 or 4 patches.

    Corners of a picture that is smaller than ``side`` are the whole of it.
    """
    if patches == 0:
        return [preprocess(picture, input_spec(side, side))]
    if patches == 1:
        return [preprocess(picture, input_spec(side, side, shorter_side))]
    scale = shorter_side / min(picture.shape[:2])
    if scale < 1:
        height, width = (max(shorter_side, round(length * scale)) for length in picture.shape[:2])
        picture = preprocess(picture, input_spec(height, width))[0]
    corners = [picture[rows, columns] for rows in _ends(side) for columns in _ends(side)]
    return [preprocess(np.ascontiguousarray(corner), input_spec(side, side)) for corner in corners]


def _ends(side: int) -> tuple[slice, slice]:
    return slice(None, side), slice(-side, None)


def agreement(backend: Backend, side: int, patches: int, shorter_side: int, data: Path) -> tuple[float, int, int]:
    """Return SROCC with the opinions, and how many of the pairs, and of how many, are ranked right."""
    opinions, pairs = (
        read_opinions(data / "biq2021-dev" / "index.csv"),
        read_pairs(data / "authentic-dev" / "pairs.csv"),
    )

    def scores(root: Path, files: Sequence[str]) -> dict[str, float]:
        scored = {}
        for file in track(list(files), f"{root.name} at {side}, {PIXELS[patches]}"):
            inputs = views(read_image(root / file), side, patches, shorter_side)
            scored[file] = float(np.mean([backend.infer(tensor) for tensor in inputs]))
        return scored

    judged = scores(data / "biq2021-dev", pictures_of(opinions))
    paired = scores(data / "authentic-dev", pictures_of(pairs))
    right = sum(paired[pair.better] > paired[pair.worse] for pair in pairs)
    return srocc([judged[row.file] for row in opinions], [row.opinion for row in opinions]), right, len(pairs)


def main() -> None:
    parser = argparse.ArgumentParser(description="Print what sizes of the input cost and bring, as Markdown.")
    parser.add_argument("data", type=Path)
    parser.add_argument("--bundle", type=Path, default=default_bundle_path())
    parser.add_argument("--sizes", default=",".join(str(side) for side in SIZES))
    parser.add_argument("--patches", default="0", help="0 all of the picture; 1 its middle; 4 its corners")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--points", type=Path)
    options = parser.parse_args()
    bundle = read_bundle(options.bundle)
    shorter_side = bundle.manifest.preprocess.shorter_side or SHORTER_SIDE
    sizes = [int(side) for side in options.sizes.split(",")]
    rules = [int(patches) for patches in options.patches.split(",")]
    if unknown := set(rules) - set(PIXELS):
        raise InvalidInput(f"--patches {unknown.pop()} is not known", fix="choose of 0, 1 and 4")
    random = np.random.default_rng(0)
    targets: dict[tuple[int, str], TimedModel] = {}
    for side in sizes:
        noise = random.integers(0, 256, (1, side, side, 3), np.uint8)
        loaders = makers(bundle, side, options.threads)
        targets |= {(side, name): TimedModel(load, [noise]) for name, load in loaders.items()}
    times = medians_ms(targets, options.rounds)
    names = list(dict.fromkeys(name for _, name in targets))
    print("| input | looks at | SROCC | pairs right | " + " | ".join(f"{name}, ms" for name in names) + " |")
    print("|" + " --- |" * (4 + len(names)))
    points = []
    for side in sizes:
        with closing(targets[side, FASTEST].load()) as backend:
            for patches in rules:
                found, right, pairs = agreement(backend, side, patches, shorter_side, options.data)
                cost = {name: times[side, name] * max(1, patches) for name in names}
                measured = " | ".join(f"{cost[name]:.1f}" for name in names)
                print(f"| {side}x{side} | {PIXELS[patches]} | {found:.3f} | {right}/{pairs} | {measured} |", flush=True)
                points += [
                    {"name": str(side), "srcc": found, "p50_ms": cost[name], "series": f"{name}, {PIXELS[patches]}"}
                    for name in names
                    if name.endswith("int8")
                ]
    if options.points:
        options.points.write_text("".join(json.dumps(point) + "\n" for point in points))


if __name__ == "__main__":
    main()
