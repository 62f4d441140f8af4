"""Benchmark on another machine: the rows are that machine's, the pictures and the teacher are here."""

from __future__ import annotations

import dataclasses
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from edge_iqa.benchmarks.pictures import BenchPicture, collect_pictures
from edge_iqa.benchmarks.remote_job import JobStatus, error_from
from edge_iqa.benchmarks.remote_package import make_push
from edge_iqa.benchmarks.remote_session import RemoteSession, Say
from edge_iqa.benchmarks.result_files import parse_result
from edge_iqa.benchmarks.results import BenchResult, RemoteFacts
from edge_iqa.benchmarks.run import BenchOutcome, BenchRequest
from edge_iqa.benchmarks.teacher_scores import require_torch
from edge_iqa.benchmarks.waterfall_run import match_opinions, teacher_stages, with_teacher
from edge_iqa.bundle import default_bundle_path, read_bundle
from edge_iqa.devices.hosts import HostSpec, parse_address
from edge_iqa.devices.ssh import SshHost
from edge_iqa.errors import ImageError


def bench_remotely(host: HostSpec, request: BenchRequest, say: Say, name: str | None = None) -> BenchOutcome:
    """Measure ``request`` on ``host`` and return what came back, with the waterfall's local stages added.

    ``say`` gets each line of progress. Raises RemoteError for trouble with the machine, and the error of the
    benchmark itself where it failed there.
    """
    bundle_path = default_bundle_path() if request.bundle is None else request.bundle
    bundle = read_bundle(bundle_path)
    if request.teacher is not None:
        require_torch()
    pictures = request.picture_set or collect_pictures(request.images, request.drift_images, request.seed)
    opinions = match_opinions(request.opinions, pictures.pictures)
    with tempfile.TemporaryDirectory(prefix="edge-iqa-") as folder:
        push = make_push(Path(folder), bundle_path, pictures, request)
        session = RemoteSession(SshHost(host), push, say)
        status, content = session.run()
    result = parse_result(content, f"the result from {host.host}")
    teacher = {}
    if request.teacher is not None:
        teacher = teacher_stages(request.teacher, pictures.pictures, bundle.manifest.preprocess)
    threshold = next((row.drift.threshold for row in result.rows if row.drift is not None), request.threshold)
    waterfall = result.waterfall
    if waterfall and threshold is not None and (teacher or opinions):
        waterfall = with_teacher(waterfall, teacher, threshold, opinions)
    facts = RemoteFacts(name or parse_address(host.host).name, push.runner_sha256, session.reconnects)
    result = dataclasses.replace(result, remote=facts, waterfall=waterfall)
    return _outcome(result, status, pictures.failed, pictures.pictures)


def _outcome(
    result: BenchResult, status: JobStatus, failed: tuple[ImageError, ...], pictures: Sequence[BenchPicture]
) -> BenchOutcome:
    refused = {label: error_from(document) for label, document in status.refused.items()}
    return BenchOutcome(result, list(status.missed), set(status.without_file), refused, failed, tuple(pictures))


def say_to_stderr(label: str) -> Say:
    """Return a function that writes lines to stderr behind a machine's name."""
    return lambda line: print(f"[{label}] {line}", file=sys.stderr, flush=True)
