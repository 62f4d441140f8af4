"""TensorRT engines on disk: built on this device, verified before use, never taken from anywhere else.

An engine is native code for one GPU, one TensorRT and one system. It lies in the user's own cache folder
beside a sidecar (JSON) that holds the key it was built for and its sha256. ``load`` gives bytes only where
both match, the folder and files belong to the user, and nobody else may write them; in every other case it
says why, and the engine is built anew.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_iqa.errors import DeviceUnavailable

SCHEMA_VERSION = 1
MAX_SIDECAR_BYTES = 64 * 1024
MAX_ENGINE_BYTES = 1024**3
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class EngineKey:
    """What an engine depends on: with any of these different, it is another engine.

    ``l4t`` is the Jetson Linux release (``36.4.3``), ``none`` elsewhere; ``device`` is ``gpu``, ``dla0`` or ``dla1``.
    """

    graph_sha256: str
    precision: str
    gpu: str
    compute_capability: str
    tensorrt: str
    l4t: str
    device: str = "gpu"

    @property
    def name(self) -> str:
        """The file name without an ending, the same for equal keys only."""
        document = json.dumps(dataclasses.asdict(self), sort_keys=True)
        return hashlib.sha256(document.encode()).hexdigest()[:32]


@dataclass(frozen=True)
class CacheMiss:
    """Why a stored file was not used."""

    why: str


def default_folder() -> Path:
    """Return ``$XDG_CACHE_HOME/edge-iqa/engines``, by default below ``~/.cache``."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    # The XDG specification says that a relative path is to be ignored.
    root = Path(base) if os.path.isabs(base) else Path.home() / ".cache"
    return root / "edge-iqa" / "engines"


def private_folder(folder: Path) -> Path | None:
    """Return ``folder``, made if need be, where it is the user's own and nobody else may write it; None otherwise."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        problem = _ownership_problem(folder)
    except OSError as error:
        problem = str(error)
    if problem:
        _LOG.warning("Nothing is cached in %s: %s", folder, problem)
        return None
    return folder


class EngineCache:
    """Files of one ending (``.engine`` or ``.timing``) with their sidecars in one folder."""

    def __init__(self, folder: Path | None = None, suffix: str = ".engine") -> None:
        self.folder = default_folder() if folder is None else folder
        self.suffix = suffix

    def path(self, key: EngineKey) -> Path:
        """Return where the file for ``key`` lies or would lie."""
        return self.folder / (key.name + self.suffix)

    def load(self, key: EngineKey) -> bytes | CacheMiss:
        """Return the stored bytes for ``key``, or why there are none that can be trusted."""
        path = self.path(key)
        sidecar = _sidecar(path)
        if not path.exists() and not sidecar.exists():
            return CacheMiss(self._nearest_miss(key))
        try:
            for place in (self.folder, path, sidecar):
                problem = _ownership_problem(place)
                if problem:
                    return CacheMiss(problem)
            document = json.loads(_read(sidecar, MAX_SIDECAR_BYTES))
            content = _read(path, MAX_ENGINE_BYTES)
        except (OSError, ValueError) as error:
            return CacheMiss(f"{path.name} cannot be read: {error}")
        return _verified(document, content, key, path.name)

    def _nearest_miss(self, key: EngineKey) -> str:
        """Return why there is no file for ``key``: what one of the same graph was built for, if there is one."""
        expected = dataclasses.asdict(key)
        for sidecar in sorted(self.folder.glob(f"*{self.suffix}.json")):
            try:
                stored = json.loads(_read(sidecar, MAX_SIDECAR_BYTES)).get("key", {})
                differing = [field for field in expected if stored.get(field) != expected[field]]
            except (OSError, ValueError, AttributeError):
                continue
            if len(differing) == 1 and differing[0] not in ("graph_sha256", "precision", "device"):
                part = differing[0]
                return f"{sidecar.stem} was built for {part} {stored.get(part)!r}, this device has {expected[part]!r}"
        return "none was built on this device yet"

    def store(self, key: EngineKey, content: bytes) -> Path:
        """Write ``content`` and its sidecar atomically; raises DeviceUnavailable where that fails."""
        path = self.path(key)
        document = {
            "schema_version": SCHEMA_VERSION,
            "key": dataclasses.asdict(key),
            "sha256": hashlib.sha256(content).hexdigest(),
            "size_bytes": len(content),
        }
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            # A crash between the two leaves an engine whose sidecar does not match, which load does not use.
            _write(path, content)
            _write(_sidecar(path), json.dumps(document, indent=1).encode())
        except OSError as error:
            raise DeviceUnavailable(
                f"The engine cannot be stored in {self.folder}",
                why=str(error),
                fix="make the folder writable, or point XDG_CACHE_HOME to one that is",
            ) from error
        return path


def _verified(document: Any, content: bytes, key: EngineKey, name: str) -> bytes | CacheMiss:
    if not isinstance(document, dict) or document.get("schema_version") != SCHEMA_VERSION:
        return CacheMiss(f"the sidecar of {name} is not of schema {SCHEMA_VERSION}")
    expected = dataclasses.asdict(key)
    stored = document.get("key")
    if stored != expected:
        stored = stored if isinstance(stored, dict) else {}
        part = next((field for field in expected if stored.get(field) != expected[field]), "key")
        built, here = stored.get(part), expected.get(part)
        return CacheMiss(f"{name} was built for {part} {built!r}, this device has {here!r}")
    found = hashlib.sha256(content).hexdigest()
    wanted = str(document.get("sha256"))
    if wanted != found:
        return CacheMiss(f"{name} was altered: its sha256 is {found[:12]}…, not {wanted[:12]}…")
    return content


def _ownership_problem(place: Path) -> str:
    status = place.lstat()
    if stat.S_ISLNK(status.st_mode):
        return f"{place} is a link"
    if hasattr(os, "getuid") and status.st_uid != os.getuid():
        return f"{place} belongs to another user"
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return f"{place} can be written by other users"
    return ""


def _sidecar(path: Path) -> Path:
    return path.with_name(path.name + ".json")


def _read(path: Path, limit: int) -> bytes:
    with path.open("rb") as stream:
        content = stream.read(limit + 1)
    if len(content) > limit:
        raise ValueError(f"it has more than {limit} bytes")
    return content


def _write(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    temporary.unlink(missing_ok=True)
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
