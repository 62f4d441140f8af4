"""Does the benchmark's median agree with that of the runtimes' own tools? The same models, in turns.

    python -m edge_iqa.benchmarks.agreement [BUNDLE.eiqa] [--rounds 5] [--runs 100] [--threads N] > agreement.md

OpenVINO is compared with its ``benchmark_app``, TFLite with ``litert-benchmark``, ONNX Runtime with
``onnxruntime_perf_test`` where that program is installed; its Python package does not have it, and then a
plain loop over ``InferenceSession.run`` stands in, which the table says. Each round starts a fresh process of
ours and one of theirs, each first in every other round; the ratio is the median over the rounds of ours
divided by theirs. Both are times of the network alone, on random pixels of the model's own size. In use,
decoding and resizing come between two inferences, so a benchmark's own rows may be slower than these times.
Prints Markdown.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge_iqa.benchmarks.host_facts import usable_cpus
from edge_iqa.benchmarks.pictures import BenchPicture
from edge_iqa.benchmarks.target_process import TargetProcess
from edge_iqa.bundle import Bundle, default_bundle_path, read_bundle
from edge_iqa.errors import BackendMismatch, MissingDependency

_TIMEOUT_S = 600.0
_WARMUP_RUNS = 20
_PLAIN_LOOP = """
import json, os, sys, time
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
import numpy, onnxruntime
path, threads, warmup, runs = sys.argv[1], *map(int, sys.argv[2:5])
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = threads
session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
entry = session.get_inputs()[0]
feed = {entry.name: numpy.random.default_rng(0).integers(0, 256, entry.shape, dtype=numpy.uint8)}
times = []
for _ in range(warmup + runs):
    start = time.perf_counter()
    session.run(None, feed)
    times.append((time.perf_counter() - start) * 1e3)
print(json.dumps(sorted(times[warmup:])[runs // 2]))
"""


@dataclass(frozen=True)
class Tool:
    """A runtime's own benchmark: what it is called, and a function (model file, threads, runs) → median in ms."""

    name: str
    median_ms: Callable[[Path, int, int], float]


@dataclass(frozen=True)
class Comparison:
    """One target: medians of every round in ms, ours and theirs."""

    target: str
    tool: str
    ours_ms: list[float]
    theirs_ms: list[float]

    @property
    def ratios(self) -> list[float]:
        return [ours / theirs for ours, theirs in zip(self.ours_ms, self.theirs_ms, strict=True)]


def openvino_median(text: str) -> float:
    """Return the median latency in ms of what ``benchmark_app`` prints, in microseconds where it is short."""
    if re.search(r"Median:\s+[\d.]+ us", text):
        return 1e-3 * _number(r"Median:\s+([\d.]+) us", text, "benchmark_app")
    return _number(r"Median:\s+([\d.]+) ms", text, "benchmark_app")


def perf_test_median(text: str) -> float:
    """Return the median latency in ms of what ``onnxruntime_perf_test`` prints, in seconds."""
    return 1e3 * _number(r"P50 Latency: ([\d.e-]+) s", text, "onnxruntime_perf_test")


def litert_median(text: str) -> float:
    """Return the median latency in ms of what ``litert-benchmark`` prints."""
    return _number(r"Inference \(median\):\s+([\d.]+) ms", text, "litert-benchmark")


def tool_for(runtime: str) -> Tool:
    """Return the benchmark of a runtime; raises MissingDependency where it has none here."""
    if runtime == "onnxruntime":
        if shutil.which("onnxruntime_perf_test"):
            return Tool("onnxruntime_perf_test", _perf_test)
        return Tool("plain loop", _plain_loop)
    name, run = {"openvino": ("benchmark_app", _benchmark_app), "tflite": ("litert-benchmark", _litert)}[runtime]
    if _program(name) is None:
        raise MissingDependency(f"{name} is not installed", fix=f"pip install 'edge-iqa[{runtime}]'")
    return Tool(name, run)


def compare(bundle: Bundle, runtime: str, precision: str, rounds: int, runs: int, threads: int) -> Comparison:
    """Measure one target in turns with its runtime's own tool; raises what either of them raises."""
    tool = tool_for(runtime)
    found = Comparison(f"{runtime} {precision}", tool.name, [], [])
    with tempfile.TemporaryDirectory() as folder:
        model = _write_model(bundle, runtime, precision, Path(folder))
        picture = _fitting_picture(bundle, Path(folder))
        for number in range(rounds):
            ours_first = number % 2 == 0
            if ours_first:
                found.ours_ms.append(_our_median(bundle, runtime, precision, runs, threads, picture))
            found.theirs_ms.append(tool.median_ms(model, threads, runs))
            if not ours_first:
                found.ours_ms.append(_our_median(bundle, runtime, precision, runs, threads, picture))
    return found


def _our_median(bundle: Bundle, runtime: str, precision: str, runs: int, threads: int, picture: BenchPicture) -> float:
    document = dataclasses.asdict(picture)
    with TargetProcess(f"{runtime} {precision}") as process:
        process.ask(
            "load",
            bundle=str(bundle.path.resolve()),
            backend=runtime,
            precision=precision,
            threads=threads,
            picture=document,
        )
        process.ask("prepare", pictures=[document])
        answer = process.ask("run", samples=runs, max_seconds=_TIMEOUT_S, settle=_WARMUP_RUNS)
    return float(statistics.median(answer["infer_ms"]))


def _fitting_picture(bundle: Bundle, folder: Path) -> BenchPicture:
    """Write a picture of the model's own size: nothing is resized between two inferences, as in the tools."""
    import cv2

    spec = bundle.manifest.preprocess
    path = folder / "noise.png"
    cv2.imwrite(str(path), np.random.default_rng(0).integers(0, 256, (spec.height, spec.width, 3), np.uint8))
    return BenchPicture(str(path), path.name, path.stat().st_size)


def _write_model(bundle: Bundle, runtime: str, precision: str, folder: Path) -> Path:
    from edge_iqa.backends.base import backend_class, needed_files

    names = needed_files(backend_class(runtime), precision, None)
    for name, content in bundle.take(names, runtime).items():
        (folder / Path(name).name).write_bytes(content)
    return folder / Path(names[0]).name


def _benchmark_app(model: Path, threads: int, runs: int) -> float:
    # its hint "latency" refuses a number of threads; this is what the hint sets
    options = ["-m", str(model), "-d", "CPU", "-api", "sync", "-hint", "none", "-nstreams", "1", "-niter", str(runs)]
    options += ["-infer_precision", "f32"]  # as the backend does
    return openvino_median(_output("benchmark_app", [*options, "-nthreads", str(threads)]))


def _perf_test(model: Path, threads: int, runs: int) -> float:
    options = ["-I", "-e", "cpu", "-m", "times", "-r", str(runs), "-x", str(threads), str(model)]
    return perf_test_median(_output("onnxruntime_perf_test", options))


def _plain_loop(model: Path, threads: int, runs: int) -> float:
    words = [sys.executable, "-c", _PLAIN_LOOP, str(model), str(threads), str(_WARMUP_RUNS), str(runs)]
    return float(json.loads(_run(words, "plain loop")))


def _litert(model: Path, threads: int, runs: int) -> float:
    options = [f"--model={model}", f"--num_threads={threads}", f"--num_runs={runs}", f"--warmup_runs={_WARMUP_RUNS}"]
    return litert_median(_output("litert-benchmark", options))


def _program(name: str) -> str | None:
    """Return the program of this Python's environment, or one on the path."""
    beside = Path(sys.executable).with_name(name)
    return str(beside) if beside.is_file() else shutil.which(name)


def _output(name: str, options: list[str]) -> str:
    return _run([_program(name) or name, *options], name)


def _run(words: list[str], name: str) -> str:
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BackendMismatch(f"{name} did not finish", why=str(error)[:300]) from error
    if done.returncode != 0:
        raise BackendMismatch(f"{name} failed", why=(done.stderr or done.stdout).strip()[-300:])
    return done.stdout


def _number(pattern: str, text: str, name: str) -> float:
    found = re.search(pattern, text)
    if found is None:
        raise BackendMismatch(f"{name} printed no median", why=text.strip()[-300:])
    return float(found[1])


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare the benchmark's medians with the runtimes' own tools.")
    parser.add_argument("bundle", type=Path, nargs="?", default=default_bundle_path())
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--threads", type=int, default=usable_cpus())
    options = parser.parse_args()
    bundle = read_bundle(options.bundle)
    print("| target | compared with | ours, ms | theirs, ms | ours / theirs | lowest to highest |")
    print("| --- | --- | --- | --- | --- | --- |")
    for runtime in ("onnxruntime", "openvino", "tflite"):
        for precision in ("fp32", "int8"):
            found = compare(bundle, runtime, precision, options.rounds, options.runs, options.threads)
            ours, theirs = statistics.median(found.ours_ms), statistics.median(found.theirs_ms)
            span = f"{min(found.ratios):.3f} to {max(found.ratios):.3f}"
            ratio = statistics.median(found.ratios)
            print(f"| {found.target} | {found.tool} | {ours:.2f} | {theirs:.2f} | {ratio:.3f} | {span} |", flush=True)


if __name__ == "__main__":
    main()
