"""What an x86 processor without VNNI would answer, found on one that has it.

    python -m edge_iqa.benchmarks.without_vnni [--bundle B.eiqa] [--pictures 40] [--data FOLDER]

Such processors add two int8 products in 16 bits, which saturate where weights were not kept small enough. OpenVINO is
held to AVX2 by ``ONEDNN_MAX_CPU_ISA``. ONNX Runtime and TFLite have no such switch: they run in QEMU's user mode
(``qemu-x86_64 -cpu Haswell``, Debian package ``qemu-user``), slowly, and are left out where that is missing. Prints a
Markdown table of the int8 model's differences from itself on the processor as it is.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from edge_iqa.backends.base import CPU_BACKENDS, backend_class
from edge_iqa.benchmarks.pictures import collect_pictures
from edge_iqa.bundle import default_bundle_path, read_bundle
from edge_iqa.preprocess import preprocess

EMULATOR = ("qemu-x86_64", "-cpu", "Haswell")
_HELD = {"ONEDNN_MAX_CPU_ISA": "AVX2"}


def int8_scores(backend: str, bundle: Path, pictures: int, data: Path | None) -> list[float]:
    """Return one runtime's int8 scores of pictures of ``data``, or of the embedded ones, computed in this process."""
    opened = read_bundle(bundle)
    kind = backend_class(backend)
    loaded = kind(opened.take(kind.artefacts["int8"], backend), threads=1)
    found = collect_pictures(data, pictures, 0).pictures
    scores = [loaded.infer(preprocess(picture.load(), opened.manifest.preprocess)) for picture in found]
    loaded.close()
    return scores


def scores_without_vnni(backend: str, bundle: Path, pictures: int, data: Path | None) -> list[float] | None:
    """Return the same scores from a process that is held to AVX2; None where that cannot be done here."""
    emulator: Sequence[str] = ()
    if backend != "openvino":
        if shutil.which(EMULATOR[0]) is None:
            return None
        emulator = EMULATOR
    command = [*emulator, sys.executable, "-m", "edge_iqa.benchmarks.without_vnni", "--only", backend]
    command += ["--bundle", str(bundle), "--pictures", str(pictures)]
    command += [] if data is None else ["--data", str(data)]
    done = subprocess.run(command, env={**os.environ, **_HELD}, check=True, stdout=subprocess.PIPE)
    scores: list[float] = json.loads(done.stdout)
    return scores


def main() -> None:
    parser = argparse.ArgumentParser(description="Print what int8 scores change on a processor without VNNI.")
    parser.add_argument("--bundle", type=Path, default=default_bundle_path())
    parser.add_argument("--pictures", type=int, default=40)
    parser.add_argument("--data", type=Path, help="a folder of pictures; the embedded ones without")
    parser.add_argument("--only", choices=CPU_BACKENDS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    chosen = (options.bundle, options.pictures, options.data)
    if options.only:
        print(json.dumps(int8_scores(options.only, *chosen)))
        return
    print("| runtime, int8 | held by | pictures | mean difference | largest |")
    print("| --- | --- | --- | --- | --- |")
    for backend in CPU_BACKENDS:
        if backend_class(backend).unavailable() is not None:
            continue
        held = scores_without_vnni(backend, *chosen)
        how = "`ONEDNN_MAX_CPU_ISA=AVX2`" if backend == "openvino" else f"`{' '.join(EMULATOR)}`"
        if held is None:
            print(f"| {backend} | {how} is not installed | 0 | | |")
            continue
        moved = np.abs(np.array(held) - int8_scores(backend, *chosen))
        print(f"| {backend} | {how} | {len(moved)} | {moved.mean():.7f} | {moved.max():.7f} |", flush=True)


if __name__ == "__main__":
    main()
