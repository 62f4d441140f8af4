"""Frames from the network: RTSP, HTTP and whatever else FFmpeg reads, through PyAV.

PyAV rather than OpenCV, because it tells a refused connection from a wrong password, has time limits, says which
frames are damaged, and lets a superseded frame go without converting it.
"""

from __future__ import annotations

import errno
import socket
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from edge_iqa.camera.redact import redact
from edge_iqa.camera.source import Grab, Pixels, SourceOptions
from edge_iqa.errors import (
    CameraCodec,
    CameraError,
    CameraGone,
    CameraNotFound,
    CameraRefused,
    CameraStalled,
    CameraUnauthorised,
    CameraUnresolved,
    InvalidInput,
)
from edge_iqa.lazy import need

SCHEMES = ("rtsp", "rtsps", "http", "https", "rtmp", "rtmps", "srt", "udp", "rtp", "tcp")
_MOST_BROKEN_IN_A_ROW = 250
_WITHOUT_HOST = ("udp", "rtp", "srt")  # may listen rather than connect


class NetworkSource:
    """A stream by its URL, over TCP where the protocol leaves a choice.

    A URL that leads to a file of known length (a clip on a web server) is not live: no frame of it is dropped.
    """

    def __init__(self, url: str, options: SourceOptions) -> None:
        self.name = redact(url)
        self.live = True
        self._url = url
        self._options = options
        self._container: Any = None
        self._frames: Iterator[Any] = iter(())

    def open(self) -> None:
        need("av", "rtsp")
        import av

        _check_host(self._url, self.name)
        started_s = time.monotonic()
        limits = (self._options.open_s, self._options.stall_s)
        try:
            self._container = av.open(self._url, options=_options(self._url), timeout=limits)
            stream = next(iter(self._container.streams.video), None)
            if stream is None:
                raise CameraCodec(f"{self.name} has no video")
            if stream.codec_context.name == "mjpeg":  # each picture stands alone, so a damaged one is given up whole
                stream.codec_context.options = {"err_detect": "explode"}
            stream.thread_type = "SLICE"  # threads per frame would each hold a frame back
            self.live = not (self._container.duration and self._container.duration > 0)
            self._frames = self._decoded(stream)
        except (av.error.FFmpegError, OSError, ValueError) as error:
            self.close()
            late = time.monotonic() - started_s >= self._options.open_s  # FFmpeg may call no answer "invalid data"
            raise camera_error(TimeoutError() if late else error, self.name, opening=True) from None
        except CameraError:
            self.close()
            raise

    def grab(self) -> Grab | None:
        import av

        started_s = time.monotonic()
        try:
            frame = next(self._frames, None)
        except (av.error.FFmpegError, OSError, ValueError) as error:
            late = time.monotonic() - started_s >= self._options.stall_s
            raise camera_error(TimeoutError() if late else error, self.name, opening=False) from None
        if frame is None and time.monotonic() - started_s >= self._options.stall_s:
            raise camera_error(TimeoutError(), self.name, opening=False)
        if frame is None:
            if self.live:
                raise CameraGone(f"{self.name} has ended the stream")
            return None
        captured_s = time.monotonic()
        if frame is _BROKEN or frame.is_corrupt:
            return Grab(captured_s, None, lambda: None)
        return Grab(captured_s, frame.time, lambda: _pixels(frame))

    def close(self) -> None:
        self._frames = iter(())
        if self._container is not None:
            self._container.close()
            self._container = None

    def interrupt(self) -> None:
        """FFmpeg ends a wait by itself, after the time limit it was given."""

    def _decoded(self, stream: Any) -> Iterator[Any]:
        """Yield decoded frames, and ``_BROKEN`` for a packet that cannot be decoded."""
        import av

        broken = 0
        for packet in self._container.demux(stream):
            try:
                frames = packet.decode()
            except av.error.InvalidDataError:
                broken += 1
                if broken >= _MOST_BROKEN_IN_A_ROW:
                    raise CameraCodec(f"{self.name} sends nothing but damaged data") from None
                yield _BROKEN
                continue
            if frames:
                broken = 0
            yield from frames


_BROKEN = object()


def camera_error(error: Exception, name: str, opening: bool) -> CameraError:
    """Return the typed error for what PyAV raised; its own text holds the whole URL and is not used."""
    import av

    why = redact(str(getattr(error, "strerror", "") or type(error).__name__))
    if isinstance(error, (av.error.HTTPUnauthorizedError, av.error.HTTPForbiddenError)):
        return CameraUnauthorised(f"{name} does not let us in", why=why, fix="check user name and password")
    if isinstance(error, (av.error.HTTPNotFoundError, FileNotFoundError)):
        return CameraNotFound(f"{name} is not there", why=why, fix="check the path after the host")
    if isinstance(error, (av.error.ExitError, TimeoutError, InterruptedError)):  # Exit: PyAV's own time limit
        if opening:
            return CameraRefused(f"{name} does not answer", why="no reply in time")
        return CameraStalled(f"{name} sends no frames", why="no data in time")
    if isinstance(error, (av.error.InvalidDataError, av.error.DecoderNotFoundError, av.error.DemuxerNotFoundError)):
        return CameraCodec(f"{name} sends no video that can be decoded", why=why)
    if opening and getattr(error, "errno", None) == errno.EIO:  # what FFmpeg says when an answer makes no sense to it
        return CameraCodec(f"{name} cannot be read as video", why=why)
    if isinstance(error, (av.error.ProtocolNotFoundError, av.error.HTTPError)):
        return CameraError(f"{name} cannot be opened", why=why)
    if opening:
        return CameraRefused(f"{name} cannot be reached", why=why, fix="check that the camera is on, host and port")
    return CameraGone(f"The connection to {name} was lost", why=why)


def _options(url: str) -> dict[str, str]:
    scheme = urlsplit(url).scheme.lower()
    options = {"fflags": "nobuffer", "flags": "low_delay"}
    if scheme.startswith("rtsp"):
        options["rtsp_transport"] = "tcp"
    return options


def _check_host(url: str, name: str) -> None:
    """Raise CameraUnresolved for a host without an address; FFmpeg only says "Input/output error"."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise InvalidInput(f"{name} is not a URL", why=redact(str(error))) from None
    if not host:
        if parts.scheme.lower() in _WITHOUT_HOST:
            return
        raise InvalidInput(f"{name} names no host")
    try:
        socket.getaddrinfo(host, port or 0, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise CameraUnresolved(f"The host of {name} is not known", why=why, fix="check the name and DNS") from None


def _pixels(frame: Any) -> Pixels | None:
    return np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
