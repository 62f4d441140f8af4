"""The metrics endpoint, read over HTTP and parsed by Prometheus' own parser."""

from __future__ import annotations

import urllib.request

import pytest

from edge_iqa.camera.address import Address, parse_address
from edge_iqa.camera.metrics import MetricsServer
from edge_iqa.camera.status import LoopStatus
from edge_iqa.errors import AddressError

pytest.importorskip("prometheus_client", reason="needs prometheus-client: pip install 'edge-iqa[watch]'")
from prometheus_client.parser import text_string_to_metric_families

BUSY = LoopStatus(
    state="running", frames_in=10, kept=3, dropped={"below_threshold": 5, "stale": 1}, undecided=1, fps=29.5,
    last_score=0.25, threshold=0.5, age_ms=40.0, reconnects=2, errors={"E253": 2}, sink_lost={"mqtt": 4}, uptime_s=9.0,
)  # fmt: skip


def scrape(server: MetricsServer) -> dict[tuple[str, str], float]:
    """Return (name, its one label's value) -> value."""
    with urllib.request.urlopen(f"http://{server.address}/metrics", timeout=30) as answer:
        text = answer.read().decode()
    return {
        (sample.name, next(iter(sample.labels.values()), "")): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_counts_of_the_loop_arrive_and_follow_it() -> None:
    current = BUSY
    server = MetricsServer(parse_address("127.0.0.1:0"), lambda: current)
    try:
        values = scrape(server)
        assert values["edge_iqa_frames_total", ""] == 10
        assert values["edge_iqa_frames_kept_total", ""] == 3
        assert values["edge_iqa_frames_dropped_total", "stale"] == 1
        assert values["edge_iqa_frame_age_seconds", ""] == pytest.approx(0.04)
        assert values["edge_iqa_sink_lost_total", "mqtt"] == 4
        assert values["edge_iqa_errors_total", "E253"] == 2
        assert values["edge_iqa_state", "running"] == 1
        assert values["edge_iqa_state", "ended"] == 0
        current = LoopStatus(frames_in=11)
        assert scrape(server)["edge_iqa_frames_total", ""] == 11
    finally:
        server.close()


def test_frames_add_up_in_what_is_exported() -> None:
    server = MetricsServer(parse_address("127.0.0.1:0"), lambda: BUSY)
    values = scrape(server)
    server.close()
    dropped = sum(value for (name, _), value in values.items() if name == "edge_iqa_frames_dropped_total")
    total = values["edge_iqa_frames_kept_total", ""] + dropped + values["edge_iqa_frames_pending", ""]
    assert total == values["edge_iqa_frames_total", ""]


def test_unknown_values_are_left_out() -> None:
    server = MetricsServer(parse_address("127.0.0.1:0"), LoopStatus)
    names = {name for name, _ in scrape(server)}
    server.close()
    assert "edge_iqa_frames_total" in names
    assert not {"edge_iqa_score", "edge_iqa_threshold", "edge_iqa_frame_age_seconds"} & names


def test_address_that_is_taken_is_an_error_of_ours() -> None:
    server = MetricsServer(parse_address("127.0.0.1:0"), LoopStatus)
    with pytest.raises(AddressError, match="cannot be served"):
        MetricsServer(server.address, LoopStatus)
    server.close()


@pytest.mark.parametrize(
    ("text", "address", "loopback"),
    [
        ("127.0.0.1:80", Address("127.0.0.1", 80), True),
        ("8080", Address("127.0.0.1", 8080), True),
        (":8080", Address("127.0.0.1", 8080), True),
        ("[::1]:9", Address("::1", 9), True),
        ("localhost:0", Address("localhost", 0), True),
        ("0.0.0.0:8080", Address("0.0.0.0", 8080), False),
        ("robot.local:8080", Address("robot.local", 8080), False),
        ("127.0.0.1.evil.com:80", Address("127.0.0.1.evil.com", 80), False),
    ],
)
def test_addresses(text: str, address: Address, loopback: bool) -> None:
    assert parse_address(text) == address
    assert parse_address(text).loopback is loopback
    assert parse_address(str(address)) == address


@pytest.mark.parametrize("text", ["", "host", "host:", "host:x", "host:65536", "::1:80", "host:-1", "h:٣"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(AddressError):
        parse_address(text)
