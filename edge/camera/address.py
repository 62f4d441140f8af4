"""HOST:PORT to serve on, and whether only this machine can reach it."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from edge_iqa.errors import AddressError


@dataclass(frozen=True)
class Address:
    """``host`` is a name or an IP address without brackets; port 0 lets the system choose one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach it: 127.0.0.0/8, ::1 or localhost."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


def parse_address(text: str) -> Address:
    """Read ``HOST:PORT``, ``[IPv6]:PORT``, ``:PORT`` or ``PORT``; without a host it is 127.0.0.1."""
    host, _, port = text.strip().rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise AddressError(f"{text!r} is not an address to serve on", fix="put an IPv6 address into [brackets]")
    if not port.isascii() or not port.isdecimal() or int(port) > 65535:
        raise AddressError(f"{text!r} is not an address to serve on", fix="for instance 127.0.0.1:8080")
    return Address(host or "127.0.0.1", int(port))
