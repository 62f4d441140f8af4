"""Who may use the preview: the token and the session, and checks of Host and Origin against hostile web pages.

A page on the internet that the camera's owner happens to visit can send requests to 127.0.0.1 (cross-site request
forgery) and can make its own name resolve to 127.0.0.1 (DNS rebinding). So the Host must be a name of this server,
requests that other sites cause are refused, and changes need an Origin that is this server's.
"""

from __future__ import annotations

import hmac
import ipaddress
import secrets
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from edge_iqa.camera.address import Address
from edge_iqa.errors import AddressError

COOKIE = "edge_iqa_preview"
MIN_TOKEN_LENGTH = 16


@dataclass(frozen=True)
class Guard:
    """``token`` is None on loopback unless one was given; ``session`` is what the cookie holds instead of the token."""

    address: Address
    token: str | None = field(default=None, repr=False)
    session: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)

    @classmethod
    def for_address(cls, address: Address, token: str | None) -> Guard:
        """Check a given token, or make one where ``address`` can be reached from elsewhere; raises AddressError."""
        if token is not None and (len(token) < MIN_TOKEN_LENGTH or not token.isascii() or not token.isprintable()):
            raise AddressError(
                f"A token of the preview has at least {MIN_TOKEN_LENGTH} printable ASCII characters",
                fix="leave it out, and one is made",
            )
        if token is None and not address.loopback:
            token = secrets.token_urlsafe(24)
        return cls(address, token)

    def refusal(self, method: str, headers: Mapping[str, str]) -> str | None:
        """Return why a request is refused whoever sends it, or None; header names are in lower case."""
        host = headers.get("host", "")
        if not self._own_name(host):
            return "this server does not go by that name"
        followed_link = method == "GET" and headers.get("sec-fetch-mode") == "navigate"
        if headers.get("sec-fetch-site", "none") not in ("none", "same-origin") and not followed_link:
            return "another site may not use the preview"
        if method not in ("GET", "HEAD"):
            origin = headers.get("origin")
            if origin is not None and origin != f"http://{host}":
                return "another site may not change anything"
        return None

    def knows(self, cookie: str | None, authorization: str | None) -> bool:
        """Return whether the session cookie or ``Authorization: Bearer TOKEN`` is right; True without a token."""
        if self.token is None:
            return True
        if cookie is not None and _equal(cookie, self.session):
            return True
        kind, _, given = (authorization or "").partition(" ")
        return kind.lower() == "bearer" and self.accepts(given.strip())

    def accepts(self, token: str | None) -> bool:
        """Return whether ``token`` is the right one; the time it takes does not depend on how much of it is."""
        return self.token is not None and token is not None and _equal(token, self.token)

    def _own_name(self, host: str) -> bool:
        """Return whether a Host header is a name of this server: a literal address, its configured or host name."""
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        if name in ("localhost", self.address.host):
            return True
        try:
            literal = ipaddress.ip_address(name)
        except ValueError:
            machine = socket.gethostname().lower()
            return not self.address.loopback and name in (machine, f"{machine}.local")
        return literal.is_loopback or not self.address.loopback


def _equal(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "replace"), expected.encode())
