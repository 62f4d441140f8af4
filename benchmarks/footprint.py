"""What edge-iqa costs beside the scoring itself: size on disk, start of the command line, loading, memory.

``python -m edge_iqa.benchmarks.footprint`` prints JSON. Every figure is taken in a process of its own, since what
one runtime has loaded would hide what the next one loads; times are the median of a few processes.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

from edge_iqa.backends.base import CPU_BACKENDS, PRECISIONS, backend_class

SCHEMA_VERSION = 1
RUNTIME_PACKAGES = (
    "numpy",
    "opencv-python-headless",
    "onnxruntime",
    "rich",
    "typer",
    "openvino",
    "ai-edge-litert",
)
_LOAD = """
import json, sys, time
start = time.perf_counter()
import numpy as np
import edge_iqa
from edge_iqa.benchmarks.target_worker import peak_rss_mb
imported = time.perf_counter()
before = peak_rss_mb()
scorer = edge_iqa.load(None, sys.argv[1], sys.argv[2], 1)
loaded = time.perf_counter()
scorer(np.zeros((480, 640, 3), np.uint8))
done = time.perf_counter()
print(json.dumps({"import_ms": (imported - start) * 1e3, "load_ms": (loaded - imported) * 1e3,
    "first_score_ms": (done - loaded) * 1e3, "peak_rss_mb": peak_rss_mb(), "rss_before_load_mb": before}))
"""


def environment_size_mb() -> float:
    """Return the size of this Python environment's packages in MiB."""
    folders = {path for path in map(Path, sys.path) if path.name in ("site-packages", "dist-packages")}
    files = (path for folder in folders for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return sum(path.stat().st_size for path in files) / 1024**2


def package_size_mb(name: str) -> float | None:
    """Return the size of an installed package's files in MiB, or None where it is not installed."""
    try:
        files = importlib.metadata.files(name) or []
    except importlib.metadata.PackageNotFoundError:
        return None
    paths = (Path(str(file.locate())) for file in files)
    return sum(path.stat().st_size for path in paths if path.is_file()) / 1024**2


def command_ms(arguments: list[str], repeats: int) -> float:
    """Return the median time of a command of edge-iqa, from start to end, in milliseconds."""
    taken = []
    for _ in range(repeats):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-m", "edge_iqa", *arguments], check=True, capture_output=True)
        taken.append((time.perf_counter() - start) * 1e3)
    return median(taken)


def load_cost(backend: str, precision: str, repeats: int) -> dict[str, float]:
    """Return the medians of import, load and first score in ms, and of the memory in MiB, one thread."""
    found: list[dict[str, float]] = []
    for _ in range(repeats):
        words = [sys.executable, "-c", _LOAD, backend, precision]
        result = subprocess.run(words, check=True, capture_output=True, text=True)
        found.append(json.loads(result.stdout.strip().splitlines()[-1]))
    return {key: round(median(item[key] for item in found), 1) for key in found[0]}


def measure(repeats: int) -> dict[str, Any]:
    """Return the document that is printed."""
    present = [name for name in CPU_BACKENDS if backend_class(name).unavailable() is None]
    sizes = {name: package_size_mb(name) for name in RUNTIME_PACKAGES}
    return {
        "schema_version": SCHEMA_VERSION,
        "repeats": repeats,
        "environment_mb": round(environment_size_mb(), 1),
        "packages_mb": {name: None if size is None else round(size, 1) for name, size in sizes.items()},
        "help_ms": round(command_ms(["--help"], repeats), 1),
        "version_ms": round(command_ms(["--version"], repeats), 1),
        "backends": {
            f"{name} {precision}": load_cost(name, precision, repeats) for name in present for precision in PRECISIONS
        },
    }


def main() -> None:
    """Print the measurement as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    print(json.dumps(measure(max(1, parser.parse_args().repeats)), indent=1))


if __name__ == "__main__":
    main()
