"""What a benchmark yields: a row per target, and all that is needed to understand it later."""

from __future__ import annotations

from dataclasses import dataclass, field

from edge_iqa.benchmarks.device_state import DeviceState
from edge_iqa.benchmarks.drift import Drift
from edge_iqa.benchmarks.host_facts import HostFacts
from edge_iqa.benchmarks.sampling import LatencySummary, SamplingPlan, Stability
from edge_iqa.benchmarks.waterfall import WaterfallStep

SCHEMA_VERSION = 2


@dataclass(frozen=True)
class ToolFacts:
    """The program that measured."""

    name: str
    version: str


@dataclass(frozen=True)
class BundleFacts:
    """The bundle that was measured; the manifest's name and the sha256 of the file."""

    name: str
    model: str
    sha256: str
    size_bytes: int


@dataclass(frozen=True)
class PictureFacts:
    """The pictures that were scored; ``names`` are in the order of a row's ``scores``."""

    source: str
    n: int
    failed: int
    sha256: str
    names: list[str]


@dataclass(frozen=True)
class Settings:
    """What the measurement was told to do; ``seed`` draws pictures and makes the distortions."""

    device: str
    precision: str
    threads: int
    seed: int
    plan: SamplingPlan
    streams: int | None = None
    sustained_s: float | None = None


@dataclass(frozen=True)
class StageMedians:
    """Median time of each stage in milliseconds; ``end_to_end`` is decoding plus the median latency."""

    decode: float
    resize: float
    infer: float
    post: float
    end_to_end: float


@dataclass(frozen=True)
class ColdStart:
    """Milliseconds of a fresh process: to import the runtime and load the model, and for the first score."""

    load: float
    first: float


@dataclass(frozen=True)
class Roofline:
    """The least time that the hardware allows, and the share of it that was reached; None where not known.

    ``profile`` names the device profile that the limit is of; ``compute_bound`` is the share of the limit that
    arithmetic sets, the rest is the memory's. See ``roofline.py`` for what the limit counts.
    """

    limit_ms: float | None = None
    share: float | None = None
    profile: str | None = None
    compute_bound: float | None = None


@dataclass(frozen=True)
class Estimate:
    """The roofline time on a device that was not measured; never a row, and ``mark`` goes wherever it is shown.

    ``target`` is what ``bench --device`` would measure there, ``processor`` the part of the device, ``macs``
    the multiply-accumulates of one picture, ``basis`` and ``source`` where the peak rates come from.
    """

    mark: str
    device: str
    title: str
    target: str
    processor: str
    precision: str
    limit_ms: float | None
    compute_bound: float | None
    macs: int
    power_mode: str | None
    basis: str
    source: str


@dataclass(frozen=True)
class Warmup:
    """How long a target was scored untimed before the timing, and whether its latency was stable by then."""

    seconds: float
    stable: bool


@dataclass(frozen=True)
class Throughput:
    """Pictures per second of ``streams`` scorers at work at once in one process.

    The targets take turns in rounds here too; ``pictures_per_s`` is of all rounds together.
    """

    streams: int
    threads_per_stream: int
    pictures: int
    seconds: float
    pictures_per_s: float
    rounds_pictures_per_s: list[float]


@dataclass(frozen=True)
class SustainedInterval:
    """A part of a sustained run; a percentile is None where it has too few samples, a state where not known."""

    start_s: float
    n: int
    p50_ms: float | None
    p90_ms: float | None
    cpu_mhz: float | None
    gpu_mhz: float | None
    temperature_c: float | None
    power_w: float | None


@dataclass(frozen=True)
class Sustained:
    """Latency over a long run without a pause; ``p90_change`` is the last fifth against the first, minus 1."""

    seconds: float
    interval_s: float
    p90_change: float | None
    intervals: list[SustainedInterval]


@dataclass(frozen=True)
class RowError:
    """Why a target could not be measured."""

    code: str
    message: str


@dataclass(frozen=True)
class Row:
    """One target: what was measured, and the verdict on it.

    A latency (``samples_ms``) runs from the decoded picture to the score (resize, inference, the rest of the
    call), as a camera loop sees it; ``infer_samples_ms`` is the inference within it. Both are in the order in
    which they were taken.
    """

    target: str
    runtime: str
    runtime_version: str | None
    precision: str
    threads: int
    size_bytes: int | None
    latency_ms: LatencySummary
    stages_ms: StageMedians | None
    cold_ms: ColdStart | None
    peak_rss_mb: float | None
    samples_ms: list[float]
    infer_samples_ms: list[float]
    stability: Stability
    drift: Drift | None
    scores: list[float]
    device_state: DeviceState
    roofline: Roofline
    error: RowError | None
    verdict: str
    reasons: list[str]
    advice: str
    affinity: list[int] | None
    warmup: Warmup | None
    throughput: Throughput | None
    energy_mj: float | None
    sustained: Sustained | None

    @property
    def label(self) -> str:
        return f"{self.target} {self.precision}"


@dataclass(frozen=True)
class RemoteFacts:
    """How a result came from another machine; ``name`` is what the user calls it, without a login.

    ``reconnects`` counts lines that dropped, ``runner_sha256`` is that of the program that was sent there.
    """

    name: str
    runner_sha256: str
    reconnects: int


@dataclass(frozen=True)
class BenchResult:
    """The whole result; the document that ``--json`` writes is this, key by key."""

    schema_version: int
    created_utc: str
    tool: ToolFacts
    host: HostFacts
    bundle: BundleFacts
    settings: Settings
    images: PictureFacts
    reference_scores: list[float]
    rows: list[Row]
    waterfall: list[WaterfallStep] = field(default_factory=list)
    estimates: list[Estimate] = field(default_factory=list)
    remote: RemoteFacts | None = None
