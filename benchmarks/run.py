"""Run a benchmark and put its result together, or the estimates for devices that are not here."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path

import edge_iqa
from edge_iqa.benchmarks.host_facts import HostFacts, read_host_facts, usable_cpus
from edge_iqa.benchmarks.layer_costs import LayerCost, bundle_costs
from edge_iqa.benchmarks.opinion_tables import Opinion
from edge_iqa.benchmarks.pictures import BenchPicture, PictureSet, collect_pictures
from edge_iqa.benchmarks.results import (
    SCHEMA_VERSION,
    BenchResult,
    BundleFacts,
    PictureFacts,
    Settings,
    ToolFacts,
)
from edge_iqa.benchmarks.roofline import estimates
from edge_iqa.benchmarks.rows import Judging, finish
from edge_iqa.benchmarks.sampling import SamplingPlan
from edge_iqa.benchmarks.session import Session, Timing
from edge_iqa.benchmarks.targets import check_device, refusal, targets_for
from edge_iqa.benchmarks.teacher_scores import require_torch
from edge_iqa.benchmarks.verdict import Bars
from edge_iqa.benchmarks.waterfall_run import WaterfallRequest, match_opinions, measure_waterfall
from edge_iqa.bundle import Bundle, default_bundle_path, read_bundle
from edge_iqa.devices.profile import DeviceProfile, load_profiles
from edge_iqa.errors import (
    BarMissed,
    BundleRefused,
    DeviceUnavailable,
    EdgeIqaError,
    ImageError,
    MissingDependency,
)


@dataclass(frozen=True)
class BenchRequest:
    """What to measure; None means: the median reference score as ``threshold``, ``threads`` for all CPUs.

    ``streams`` scorers at once give the throughput as well, ``sustained_s`` seconds without a pause per target the
    percentiles over time; None leaves each of them out.
    """

    bundle: Path | None
    device: str
    plan: SamplingPlan
    precision: str = "all"
    images: Path | None = None
    threads: int | None = None
    threshold: float | None = None
    drift_images: int = 300
    seed: int = 0
    bars: Bars = field(default_factory=Bars)
    picture_set: PictureSet | None = None  # instead of images, drift_images and seed
    waterfall: bool = True
    teacher: Path | None = None
    opinions: Sequence[Opinion] = ()
    streams: int | None = None
    sustained_s: float | None = None


@dataclass(frozen=True)
class BenchOutcome:
    """The result, and what speaks against a clean exit: bars missed, targets refused, pictures not read."""

    result: BenchResult
    missed: list[str]
    without_file: set[str]
    refused: dict[str, EdgeIqaError]
    failed_pictures: tuple[ImageError, ...]
    pictures: tuple[BenchPicture, ...]

    def raise_problems(self) -> None:
        """Raise what must not end in a clean exit; called once the result is written.

        A target that was asked for by name must work. Of all CPU runtimes together, one that is not installed
        or that the bundle has no file for is only a row; a model that a runtime refuses, crashes on or scores
        wrongly is not, nor is it fine where no target could be measured. Raises the target's error, or
        BarMissed.
        """
        by_name = self.result.settings.device != "cpu"
        for label, error in self.refused.items():
            grave = not isinstance(error, MissingDependency | DeviceUnavailable) and label not in self.without_file
            if by_name or grave or len(self.refused) == len(self.result.rows):
                raise error
        if self.missed:
            count = len(self.missed)
            raise BarMissed(
                "A bar was missed" if count == 1 else f"{count} bars were missed",
                why="; ".join(self.missed),
                fix="the lines above advise; --precision measures only int8 or only fp32",
            )


def run_bench(request: BenchRequest) -> BenchOutcome:
    """Measure every target of the request.

    A target that cannot be measured is a row, not an exception. Raises InvalidInput, BundleRefused or
    DeviceUnavailable before anything is measured.
    """
    targets = targets_for(request.device, request.precision)
    bundle = read_bundle(default_bundle_path() if request.bundle is None else request.bundle)
    if request.teacher is not None:
        require_torch()
    pictures = request.picture_set or collect_pictures(request.images, request.drift_images, request.seed)
    opinions = match_opinions(request.opinions, pictures.pictures)
    threads = usable_cpus() if request.threads is None else request.threads
    host = read_host_facts()
    seconds = len(targets) * (request.plan.min_seconds + (request.sustained_s or 0))
    print(
        f"{len(targets)} targets in turns on {len(pictures.pictures)} pictures, mode {request.plan.mode}: "
        f"at least {seconds:.0f} s of measuring",
        file=sys.stderr,
    )
    timing = Timing(request.plan, threads, request.streams, request.sustained_s)
    measurements, reference_scores = Session(bundle, pictures, timing).measure(targets)
    judging = Judging(
        bundle,
        threads,
        request.plan,
        request.bars,
        request.threshold,
        costs=_costs(bundle),
        profile=_profile_of(host),
        cpu_max_mhz=host.cpu_max_mhz,
    )
    judged = finish(measurements, reference_scores, judging)
    waterfall = []
    if request.waterfall:
        backends = {target.label: target.backend for target in targets}
        stages = WaterfallRequest(pictures.pictures, threads, backends, request.threshold, request.teacher, opinions)
        waterfall = measure_waterfall(stages, bundle, reference_scores, judged.rows)
    result = BenchResult(
        schema_version=SCHEMA_VERSION,
        created_utc=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        tool=ToolFacts("edge-iqa", edge_iqa.__version__),
        host=host,
        bundle=_bundle_facts(bundle),
        settings=_settings(request, threads),
        images=PictureFacts(
            pictures.source,
            len(pictures.pictures),
            len(pictures.failed),
            pictures.sha256,
            [picture.name for picture in pictures.pictures],
        ),
        reference_scores=[round(score, 7) for score in reference_scores],
        rows=judged.rows,
        waterfall=waterfall,
    )
    refused = {entry.target.label: entry.error for entry in measurements if entry.error is not None}
    without_file = {target.label for target in targets if refusal(target, bundle) is not None}
    return BenchOutcome(result, judged.missed, without_file, refused, pictures.failed, pictures.pictures)


def estimate_bench(request: BenchRequest) -> BenchResult:
    """Return a result without rows whose ``estimates`` tell what known devices allow at best; nothing is measured.

    Raises InvalidInput for an unknown device, BundleRefused where the bundle's graphs do not tell the sizes
    of its layers.
    """
    device = check_device(request.device, request.precision)
    bundle = read_bundle(default_bundle_path() if request.bundle is None else request.bundle)
    costs = bundle_costs(bundle)
    if costs is None:
        raise BundleRefused(
            f"Nothing can be estimated for {bundle.path.name}",
            why="its graphs have no convolutions, or do not tell the sizes of the tensors between them",
            fix="rebuild the bundle with 'edge-iqa quantize'",
        )
    found = estimates(costs, load_profiles(), device)
    return BenchResult(
        schema_version=SCHEMA_VERSION,
        created_utc=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        tool=ToolFacts("edge-iqa", edge_iqa.__version__),
        host=read_host_facts(),
        bundle=_bundle_facts(bundle),
        settings=_settings(request, usable_cpus() if request.threads is None else request.threads),
        images=PictureFacts("none", 0, 0, hashlib.sha256().hexdigest(), []),
        reference_scores=[],
        rows=[],
        estimates=[entry for entry in found if request.precision in ("all", entry.precision)],
    )


def _bundle_facts(bundle: Bundle) -> BundleFacts:
    return BundleFacts(bundle.manifest.name, bundle.manifest.model, bundle.sha256, bundle.size_bytes)


def _settings(request: BenchRequest, threads: int) -> Settings:
    return Settings(
        request.device,
        request.precision,
        threads,
        request.seed,
        request.plan,
        request.streams,
        request.sustained_s,
    )


def _profile_of(host: HostFacts) -> DeviceProfile | None:
    return next((profile for profile in load_profiles() if profile.name == host.profile), None)


def _costs(bundle: Bundle) -> list[LayerCost] | None:
    """Return the layers' costs; None also for a graph that cannot be read, which its own row will tell."""
    try:
        return bundle_costs(bundle)
    except BundleRefused:
        return None
