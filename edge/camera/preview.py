"""The preview: a page with the live picture, scores, decisions and a threshold slider, served from the loop itself.

A sink that keeps the last decided frame and the last decisions; the web server runs in a thread of its own and
encodes a picture only when a browser asks for one, so that nobody watching costs nothing.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from edge_iqa.camera.address import Address
from edge_iqa.camera.frame import Frame
from edge_iqa.camera.policy import Decision
from edge_iqa.camera.policy_spec import Policy
from edge_iqa.camera.preview_guard import Guard
from edge_iqa.camera.scores_log import decision_line
from edge_iqa.camera.sinks import Sink
from edge_iqa.camera.status import LoopStatus
from edge_iqa.errors import AddressError, PolicyError
from edge_iqa.lazy import need

if TYPE_CHECKING:
    import uvicorn

SCHEMA_VERSION = 1
TOKEN_VARIABLE = "EDGE_IQA_PREVIEW_TOKEN"  # noqa: S105 - the name of a variable
_REMEMBERED = 600
_START_TIMEOUT_S = 10.0


@dataclass(frozen=True)
class LoopControls:
    """What the preview needs of the loop: its status, its policy, and a way to exchange the policy."""

    status: Callable[[], LoopStatus]
    policy: Callable[[], Policy]
    set_policy: Callable[[Policy], None]


class Preview(Sink):
    """Serves the page on ``address`` until closed; ``token`` is needed for any address but loopback.

    Without ``token`` it is taken from the environment variable EDGE_IQA_PREVIEW_TOKEN; where that is not set and others
    can reach the address, one is made. ``url`` contains it.
    """

    name = "preview"

    def __init__(self, address: Address, controls: LoopControls, *, token: str | None = None) -> None:
        need("starlette", "watch")
        need("uvicorn", "watch")
        self.controls = controls
        self._lock = threading.Lock()
        self._frame: Frame | None = None
        self._entries: deque[tuple[int, dict[str, Any]]] = deque(maxlen=_REMEMBERED)
        self._serial = 0
        self.closing = threading.Event()
        self.guard = Guard.for_address(address, token or os.environ.get(TOKEN_VARIABLE))
        self._server, self._thread, port = _start(self, address)
        self.address = Address(address.host, port)

    @property
    def url(self) -> str:
        """Where to point a browser; whoever has it may see the camera and move the threshold."""
        query = f"?token={self.guard.token}" if self.guard.token else ""
        return f"http://{Address(_reachable_host(self.address.host), self.address.port)}/{query}"

    def handle(self, frame: Frame, decision: Decision) -> None:
        """Remember the frame and the decision; takes microseconds and needs no queue."""
        entry = decision_line(decision) | {"threshold": decision.threshold}
        with self._lock:
            self._frame = frame
            self._serial += 1
            self._entries.append((self._serial, entry))

    def close(self) -> None:
        self.closing.set()
        self._server.should_exit = True
        self._thread.join(5)

    def snapshot(self, after: int) -> dict[str, Any]:
        """Return what the page shows: counts, the policy, and the decisions after serial number ``after``.

        A page that is from an earlier run, with a higher number, gets all that is remembered.
        """
        with self._lock:
            serial = self._serial
            entries = [entry for number, entry in self._entries if number > after or after > serial]
        status, policy = self.controls.status(), self.controls.policy()
        return {
            "schema_version": SCHEMA_VERSION,
            "serial": serial,
            "status": {
                "state": status.state,
                "source": status.source,
                "frames_in": status.frames_in,
                "kept": status.kept,
                "dropped": dict(status.dropped),
                "pending": status.pending + status.undecided,
                "fps": status.fps,
                "age_ms": status.age_ms,
                "reconnects": status.reconnects,
                "last_error": status.last_error,
                "lost": sum(status.sink_lost.values()),
            },
            "policy": {"name": policy.name, "purpose": policy.purpose, "threshold": policy.threshold},
            "decisions": entries,
        }

    def picture(self, width: int) -> tuple[int, bytes] | None:
        """Return number and JPEG of the last decided frame, at most ``width`` pixels wide; None before the first."""
        import cv2

        with self._lock:
            frame = self._frame
        if frame is None:
            return None
        pixels = frame.pixels
        if pixels.shape[1] > width:
            height = max(1, round(pixels.shape[0] * width / pixels.shape[1]))
            pixels = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)
        _, data = cv2.imencode(".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 80])
        return frame.number, bytes(data.tobytes())

    def set_threshold(self, threshold: float) -> float:
        """Give the running loop its policy with another threshold; raises PolicyError outside 0 to 1."""
        policy = replace(self.controls.policy(), threshold=round(threshold, 4))
        self.controls.set_policy(policy)
        return policy.threshold


def threshold_of(document: object) -> float:
    """Read ``{"threshold": number}`` as a browser sends it; raises PolicyError."""
    value = document.get("threshold") if isinstance(document, dict) and set(document) == {"threshold"} else None
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise PolicyError("A change of the policy is an object with a number as its threshold")
    return float(value)


def _reachable_host(host: str) -> str:
    """Return ``host``, or for all addresses at once the one that this machine has on its network."""
    if host not in ("0.0.0.0", "::"):  # noqa: S104 - compared, not served on
        return host
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # a documentation address; nothing is sent
            return str(probe.getsockname()[0])
        except OSError:
            return socket.gethostname()


def _start(preview: Preview, address: Address) -> tuple[uvicorn.Server, threading.Thread, int]:
    import uvicorn

    from edge_iqa.camera.preview_app import build_preview_app

    try:
        family = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.create_server((address.host, address.port), family=family)
    except OSError as error:
        raise AddressError(f"The preview cannot be served on {address}", why=error.strerror or str(error)) from error
    config = uvicorn.Config(
        build_preview_app(preview),
        log_level="critical",
        access_log=False,
        server_header=False,
        lifespan="off",
        ws="none",
        limit_concurrency=64,
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listener],), name="preview", daemon=True)
    port = int(listener.getsockname()[1])
    thread.start()
    deadline = time.monotonic() + _START_TIMEOUT_S
    while not server.started and thread.is_alive() and time.monotonic() < deadline:
        time.sleep(0.01)
    if not server.started:
        listener.close()
        raise AddressError(f"The preview did not start on {address}")
    return server, thread, port
