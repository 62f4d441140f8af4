"""Which other machines to work on: ``user@host:port``, and the TOML file of ``--hosts``."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from edge_iqa.errors import InvalidInput
from edge_iqa.spec import from_document

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SCHEMA_VERSION = 1
DEFAULT_FOLDER = ".cache/edge-iqa"
_USER = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}"
_NAME = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,252}"
_ADDRESS = re.compile(
    rf"(?:(?P<user>{_USER})@)?(?:\[(?P<ip6>[0-9A-Fa-f:.]+)\]|(?P<name>{_NAME}))(?::(?P<port>[0-9]{{1,5}}))?"
)
_LABEL = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")


@dataclass(frozen=True)
class HostSpec:
    """One machine: ``host`` is ``user@host[:port]`` or a name from the ssh configuration.

    ``device`` is what to measure there (None: what the command line says), ``python`` the interpreter that has
    the runtimes, ``folder`` where to work (relative to the home folder there), ``ssh_config`` a configuration file
    for ssh instead of the user's own.
    """

    host: str
    device: str | None = None
    python: str = "python3"
    folder: str = DEFAULT_FOLDER
    ssh_config: str | None = None

    def __post_init__(self) -> None:
        parse_address(self.host)
        folder = PurePosixPath(self.folder)
        if not folder.parts or ".." in folder.parts or "\0" in self.folder or self.folder in (".", "/"):
            raise InvalidInput(f"{self.folder!r} is no folder to work in", fix="for instance .cache/edge-iqa")
        if not self.python or self.python.startswith("-") or "\0" in self.python:
            raise InvalidInput(f"{self.python!r} is no Python interpreter", fix="for instance python3")


@dataclass(frozen=True)
class Address:
    """Where ssh connects to; ``user`` and ``port`` None for what ssh's configuration says."""

    user: str | None
    name: str
    port: int | None


@dataclass(frozen=True)
class _HostsFile:
    schema_version: int
    hosts: dict[str, HostSpec]


def parse_address(text: str) -> Address:
    """Return the parts of ``[user@]host[:port]``, an IPv6 address in brackets; raises InvalidInput."""
    match = _ADDRESS.fullmatch(text)
    if match is None:
        raise InvalidInput(
            f"{text!r} is no host", why="a host is user@name, user@name:port or user@[address]:port", fix="check it"
        )
    port = None if match["port"] is None else int(match["port"])
    if port is not None and not 1 <= port <= 65535:
        raise InvalidInput(f"{text!r} has no port from 1 to 65535")
    return Address(match["user"], match["ip6"] or match["name"], port)


def read_hosts(path: Path) -> dict[str, HostSpec]:
    """Return the machines of a TOML file by the names that it gives them.

    The file has ``schema_version = 1`` and tables ``[hosts.NAME]`` with the keys of HostSpec. Raises InvalidInput.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{path} cannot be read", why=str(error)) from error
    except tomllib.TOMLDecodeError as error:
        raise InvalidInput(f"{path.name} is not TOML", why=str(error)) from error
    found = from_document(_HostsFile, document, path.name)
    if found.schema_version != SCHEMA_VERSION:
        raise InvalidInput(f"{path.name} has schema_version {found.schema_version}", fix=f"use {SCHEMA_VERSION}")
    wrong = [name for name in found.hosts if _LABEL.fullmatch(name) is None]
    if wrong or not found.hosts:
        why = f"{wrong[0]!r} may hold letters, digits, '.', '_' and '-' only" if wrong else "it has no [hosts.NAME]"
        raise InvalidInput(f"{path.name} names no usable host", why=why)
    return found.hosts
