"""Take passwords and tokens out of text before anybody reads it."""

from __future__ import annotations

import re

_USER_INFO = re.compile(r"(\b[a-zA-Z][a-zA-Z0-9+.-]*://)[^/?#\s'\"<>]*@")
_SECRET_PARAMETER = re.compile(
    r"(?i)\b([\w-]*(?:user(?:name|-id|_id)?|usr|login|pass(?:word|wd|phrase)?|pwd|pw|token|secret|api[_-]?key|key|auth"
    r"|signature|sig|credential)s?)(\s*=\s*)(\"[^\"]*\"|'[^']*'|[^&;\s'\"]+)"
)
_HEADER = re.compile(r"(?i)\b(authorization\s*[:=]\s*)(?:(?:basic|digest|bearer)\s+)?[^\r\n]+")
HIDDEN = "***"


def redact(text: str) -> str:
    """Return ``text`` with the user part of URLs, secret-looking parameters and Authorization headers as ``***``.

    The user name goes too. Host and path stay, so that a message still tells which camera it is about.
    """
    text = _USER_INFO.sub(rf"\1{HIDDEN}@", text)
    text = _SECRET_PARAMETER.sub(rf"\1\2{HIDDEN}", text)
    return _HEADER.sub(rf"\1{HIDDEN}", text)
