"""The loop's counts for Prometheus, on loopback unless another address is given; the text is prometheus-client's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from edge_iqa.camera.address import Address
from edge_iqa.camera.status import LoopStatus
from edge_iqa.errors import AddressError
from edge_iqa.lazy import need

if TYPE_CHECKING:
    from prometheus_client.core import Metric
    from prometheus_client.registry import Collector, CollectorRegistry

STATES = ("starting", "running", "reconnecting", "stopping", "ended", "failed")


class MetricsServer:
    """Serves ``/metrics`` until closed; every request reads a fresh status. Nobody asking costs nothing."""

    def __init__(self, address: Address, status: Callable[[], LoopStatus]) -> None:
        need("prometheus_client", "watch")
        from prometheus_client import start_http_server

        try:
            self._server, self._thread = start_http_server(address.port, address.host, registry(status))
        except OSError as error:
            raise AddressError(f"Metrics cannot be served on {address}", why=error.strerror or str(error)) from error
        self.address = Address(address.host, self._server.server_port)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)


def registry(status: Callable[[], LoopStatus]) -> CollectorRegistry:
    """Return a registry of its own that reads ``status`` whenever it is collected."""
    from prometheus_client.registry import CollectorRegistry

    found = CollectorRegistry()
    found.register(_collector(status))
    return found


def _collector(status: Callable[[], LoopStatus]) -> Collector:
    from prometheus_client.registry import Collector

    class LoopCollector(Collector):
        def collect(self) -> Iterator[Metric]:
            return metrics_of(status())

    return LoopCollector()


def metrics_of(status: LoopStatus) -> Iterator[Metric]:
    """Yield the metrics of one status; values that are not known yet are left out rather than 0."""
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    counters = {
        "frames": ("Frames grabbed from the source.", status.frames_in),
        "frames_kept": ("Frames kept.", status.kept),
        "reconnects": ("Times the source was opened again.", status.reconnects),
    }
    for name, (text, count) in counters.items():
        yield CounterMetricFamily(f"edge_iqa_{name}", text, value=count)
    tables = {
        "frames_dropped": ("Frames dropped, by cause.", "cause", status.dropped),
        "errors": ("Errors, by code; edge-iqa explain CODE tells more.", "code", status.errors),
        "sink_lost": ("Decided frames that a sink lost.", "sink", status.sink_lost),
    }
    for name, (text, label, counts) in tables.items():
        family = CounterMetricFamily(f"edge_iqa_{name}", text, labels=[label])
        for key, count in counts.items():
            family.add_metric([key], count)
        yield family
    gauges = {
        "frames_per_second": ("Frames grabbed per second.", status.fps),
        "decided_per_second": ("Frames decided per second.", status.decided_fps),
        "frames_pending": ("Frames grabbed and not decided yet.", status.pending + status.undecided),
        "score": ("Score of the last decided frame, 0 to 1.", status.last_score),
        "threshold": ("Score a frame has to reach now.", status.threshold),
        "frame_age_seconds": (
            "From the grab of the last decided frame to its decision.",
            None if status.age_ms is None else status.age_ms / 1e3,
        ),
        "uptime_seconds": ("Since the loop started.", status.uptime_s),
    }
    for name, (text, value) in gauges.items():
        if value is not None:
            yield GaugeMetricFamily(f"edge_iqa_{name}", text, value=value)
    current = GaugeMetricFamily("edge_iqa_state", "1 for the state that the loop is in.", labels=["state"])
    for state in STATES:
        current.add_metric([state], float(state == status.state))
    yield current
