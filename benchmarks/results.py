"""What a benchmark yields: a row per target, and all that is needed to understand it later."""

from __future__ import annotations

from dataclasses import dataclass, field

from edge_iqa.benchmarks.device_state import DeviceState
from edge_iqa.benchmarks.drift import Drift
from edge_iqa.benchmarks.host_facts import HostFacts
from edge_iqa.benchmarks.sampling import LatencySummary, SamplingPlan, Stability

SCHEMA_VERSION = 1


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
    """The least time that the hardware allows, and the share of it that was reached; None where not known."""

    limit_ms: float | None = None
    share: float | None = None


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

    @property
    def label(self) -> str:
        return f"{self.target} {self.precision}"


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
    waterfall: list[dict[str, object]] = field(default_factory=list)
