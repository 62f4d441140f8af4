"""Messages to systemd (sd_notify): ready, alive, stopping. Nothing happens where systemd did not ask for them."""

from __future__ import annotations

import contextlib
import os
import socket
import time


class ServiceNotifier:
    """Speaks the protocol of sd_notify(3) over the socket named in ``NOTIFY_SOCKET``.

    ``alive`` is to be called after a frame was decided, and for no other reason: then a loop that no longer decides
    frames is restarted by ``WatchdogSec=``.
    """

    def __init__(self) -> None:
        self._address = os.environ.get("NOTIFY_SOCKET", "")
        if self._address.startswith("@"):
            self._address = "\0" + self._address[1:]  # a name without a file
        self._every_s = _watchdog_s() / 4
        self._last_s = float("-inf")
        self._is_ready = False

    def ready(self) -> None:
        """Say once that the service has started."""
        if not self._is_ready:
            self._is_ready = True
            self._send("READY=1")

    def alive(self) -> None:
        """Say that a frame was decided; sent at most four times within the time systemd waits."""
        now = time.monotonic()
        if self._every_s > 0 and now - self._last_s >= self._every_s:
            self._last_s = now
            self._send("WATCHDOG=1")

    def status(self, text: str) -> None:
        """Show one line in ``systemctl status``."""
        self._send(f"STATUS={' '.join(text.split())}")

    def stopping(self) -> None:
        """Say that the service is about to end."""
        self._send("STOPPING=1")

    def _send(self, message: str) -> None:
        if not self._address:
            return
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as connection:
            connection.setblocking(False)
            connection.sendto(message.encode(), self._address)


def _watchdog_s() -> float:
    """Return systemd's limit in seconds, 0 where there is none or it is meant for another process."""
    process = os.environ.get("WATCHDOG_PID", "")
    if process and process != str(os.getpid()):
        return 0.0
    value = os.environ.get("WATCHDOG_USEC", "")
    return int(value) / 1e6 if value.isdecimal() else 0.0
